"""The maximum of a joint likelihood gives its account in terms of its own family."""

import dataclasses
import re

import jax.numpy as jnp
import pytest

from normix_expfam import GIG, Gamma, InverseGamma, InverseGaussian, MLEResult, Status

NAMES = ("vg", "ninvg", "nig", "gh")
FAMILIES = (Gamma, InverseGamma, InverseGaussian, GIG)


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("name", NAMES)
def test_a_message_names_no_family_and_no_parameter_that_the_model_has_not(make, name, status):
    model, others = make(name, 2).joint, (make(other, 2).joint for other in NAMES if other != name)
    message = MLEResult(model, jnp.int32(status), *(jnp.zeros(()),) * 3).message
    words = set(re.findall(r"[A-Za-z_]+", message))
    own = type(model.subordinator)
    foreign = {family.__name__ for family in FAMILIES if family is not own}
    assert not words & (foreign | {type(other).__name__ for other in others})
    parameters = {field.name for field in (*dataclasses.fields(model), *dataclasses.fields(own))}
    assert set(re.findall(r"(\w+) = ", message)) <= parameters


def test_a_maximum_on_the_boundary_says_where_it_is(make):
    model = make("gh", 2).joint
    found = MLEResult(model, jnp.int32(Status.GAMMA_LIMIT), *(jnp.zeros(()),) * 3)
    assert "on the boundary b = 0 of the subordinator, a gamma distribution" in found.message
