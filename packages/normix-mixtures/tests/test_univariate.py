"""The univariate law: reference values, quantiles, moments, the ends of the line."""

import json

import equinox as eqx
import jax
import numpy as np
import pytest

from normix_mixtures import GeneralizedHyperbolic


@pytest.fixture(scope="module")
def reference(shared_data):
    return json.loads((shared_data / "reference_gh.json").read_text())


def scalar_law(row):
    return GeneralizedHyperbolic.from_classical(
        *map(np.asarray, ([row["mu"]], [row["gamma"]], [[row["sigma"] ** 2]])),
        p=row["lambda"], a=row["psi"], b=row["chi"],
    ).project(np.ones(1))  # fmt: skip


def test_reference_tails(reference):
    for row in reference["univariate"]:
        law = scalar_law(row)
        for method, key in (("cdf", "mp_cdf"), ("sf", "mp_sf")):
            got = float(getattr(law, method)(row["x"]))
            assert got == pytest.approx(float(row[key]), rel=1e-10, abs=0), (row["case"], row["x"])


def test_reference_quantiles(reference):
    for row in reference["quantiles_and_shortfall"]:
        got = float(scalar_law(row).ppf(row["p"]))
        assert got == pytest.approx(float(row["mp_q"]), rel=1e-10, abs=1e-10), row["case"]


def test_reference_moments(reference):
    for row in reference["moments"]:
        if row["mp"] is None:
            continue
        law = scalar_law(row)
        method = {"mean": law.mean, "var": law.var, "variance": law.var}.get(row["stat"])
        if method is not None:
            assert float(method()) == pytest.approx(float(row["mp"]), rel=1e-11, abs=1e-13)


def test_quantiles_invert_both_tails(model):
    law = model.project(np.array([0.6, -0.8]))
    q = np.array([1e-200, 1e-20, 1e-3, 0.5, 0.9, 1 - 1e-12])
    x = law.ppf(q)
    np.testing.assert_allclose(law.cdf(x[:3]), q[:3], rtol=1e-9)
    np.testing.assert_allclose(law.sf(x[3:]), 1 - q[3:], rtol=1e-9)
    assert np.all(np.diff(x) > 0)


def test_cdf_and_sf_are_complements_and_the_density_is_their_slope(model):
    law = model.project(np.array([0.6, -0.8]))
    x = np.linspace(-3, 3, 6)
    np.testing.assert_allclose(law.cdf(x) + law.sf(x), 1, rtol=1e-13)
    slope = (law.cdf(x + 1e-5) - law.cdf(x - 1e-5)) / 2e-5
    np.testing.assert_allclose(slope, law.prob(x), rtol=1e-7)


def test_projection_has_the_moments_and_density_of_its_parent(model, scalar_model):
    w = np.array([0.6, -0.8])
    law = model.project(w)
    assert float(law.mean()) == pytest.approx(float(w @ model.mean()), rel=1e-12)
    assert float(law.var()) == pytest.approx(float(w @ model.cov() @ w), rel=1e-12)
    x = np.linspace(-5, 5, 6)
    unit = scalar_model.project(np.array([1.0]))
    np.testing.assert_allclose(unit.log_prob(x), scalar_model.log_prob(x[:, None]), rtol=1e-12)


def test_the_ends_of_the_line(model):
    law = model.project(np.array([1.0, 0.0]))
    x = np.array([-np.inf, np.inf, np.nan, 1e9])
    np.testing.assert_array_equal(law.log_prob(x[:3]), [-np.inf, -np.inf, np.nan])
    np.testing.assert_allclose(law.cdf(x), [0, 1, np.nan, 1], atol=1e-12)
    np.testing.assert_allclose(law.sf(x), [1, 0, np.nan, 0], atol=1e-12)
    np.testing.assert_array_equal(law.ppf(np.array([0.0, 1.0])), [-np.inf, np.inf])


def test_a_huge_argument_ends_in_bounded_time(model):
    law = model.project(np.array([1.0, 0.0]))
    np.testing.assert_array_equal(law.cdf(np.array([-1e300, 1e300])), [0.0, 1.0])


def test_traced_quantiles_outside_the_unit_interval_are_nan(model):
    law = model.project(np.array([1.0, 0.0]))
    got = eqx.filter_jit(lambda q: law.ppf(q))(np.array([-0.1, 1.1, np.nan]))
    assert np.all(np.isnan(got))


def test_tails_are_jittable_and_vmappable_over_laws(make):
    laws = [make("gh", 2).project(np.array(w)) for w in ([1.0, 0.0], [0.6, -0.8])]
    stacked = jax.tree.map(lambda *leaves: jax.numpy.stack(leaves), *laws)
    got = eqx.filter_jit(eqx.filter_vmap(lambda law: law.cdf(0.3)))(stacked)
    np.testing.assert_allclose(got, [float(law.cdf(0.3)) for law in laws], rtol=1e-13)


def test_subordinators_with_nearly_all_orders_of_magnitude():
    """Log Y so wide that e^u overflows at the depth of the nodes."""
    parts = (np.zeros(1), np.full(1, 0.5), np.eye(1))
    for p, a, b in ((0.05, 2.0, 0.0), (-0.05, 0.0, 2.0)):
        law = GeneralizedHyperbolic.from_classical(*parts, p=p, a=a, b=b).project(np.ones(1))
        got = np.asarray(law.cdf(np.array([-1.0, 0.0, 1.0])))
        assert np.all(np.diff(got) > 0)
        np.testing.assert_allclose(got + law.sf(np.array([-1.0, 0.0, 1.0])), 1, rtol=1e-12)
