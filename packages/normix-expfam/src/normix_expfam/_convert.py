"""Members of the GIG family as GIG distributions, and back: the one place where families meet."""

from typing import TypeVar

import jax.numpy as jnp

from ._gig._member import GIGMember
from .families.exponential import Exponential
from .families.gamma import Gamma
from .families.gig import GeneralizedInverseGaussian
from .families.inverse_gamma import InverseGamma
from .families.inverse_gaussian import InverseGaussian

Member = TypeVar("Member", bound=GIGMember)

_MEMBERS: tuple[type[GIGMember], ...] = (Exponential, Gamma, InverseGamma, InverseGaussian)


def to_gig(law: GIGMember) -> GeneralizedInverseGaussian:
    """The same distribution as a GIG distribution, exactly.

    Gamma(α, β) = GIG(α, 2β, 0), InverseGamma(α, β) = GIG(-α, 0, 2β),
    InverseGaussian(μ, λ) = GIG(-1/2, λ/μ², λ), Exponential(rate) = GIG(1, 2 rate, 0).

    Examples:
        >>> from normix_expfam import Gamma, to_gig
        >>> law = to_gig(Gamma(3.0, 2.0))
        >>> float(law.p), float(law.a), float(law.b)
        (3.0, 4.0, 0.0)
    """
    return GeneralizedInverseGaussian.from_gig(*law.as_gig())


def project(law: GIGMember, family: type[Member]) -> Member:
    """The member of a family closest to a law: min over f of KL(law ‖ f).

    It has the same mean statistics (moment matching), and is the distribution itself if that
    belongs to the family.

    Args:
        law: any GIG distribution or special member.
        family: Exponential, Gamma, InverseGamma, InverseGaussian or GIG.

    Raises:
        TypeError: if family is none of these.
        ValueError: if the distribution has an infinite mean statistic, so that the divergence is
            infinite from every member.

    Examples:
        Y ~ Gamma(2, 2) has E Y = 1 and E 1/Y = 2; InverseGaussian(μ, λ) has μ and 1/μ + 1/λ.

        >>> from normix_expfam import Gamma, InverseGaussian, project
        >>> near = project(Gamma(2.0, 2.0), InverseGaussian)
        >>> round(float(near.mu), 6), round(float(near.lam), 6)
        (1.0, 1.0)
    """
    for same in (law, to_gig(law)):
        if isinstance(same, family):
            return same
    if family not in _MEMBERS:
        names = ", ".join(member.__name__ for member in _MEMBERS)
        raise TypeError(f"project: family must be GIG or one of {names}, got {family!r}")
    eta = to_gig(law).expectation_params()
    return family.from_expectation(jnp.asarray(eta)[jnp.array(family.gig_statistics)])
