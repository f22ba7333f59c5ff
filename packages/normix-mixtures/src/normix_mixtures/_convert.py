"""Conversions between families: the one place where they know each other."""

from typing import TypeVar

from normix_expfam import project, to_gig

from ._marginal import NormalMixture
from .families.generalized_hyperbolic import GeneralizedHyperbolic, JointGeneralizedHyperbolic

Family = TypeVar("Family", bound=NormalMixture)


def to_generalized_hyperbolic(model: NormalMixture) -> GeneralizedHyperbolic:
    """The same law as a member of the generalized hyperbolic family, exactly.

    Examples:
        >>> from normix_mixtures import VarianceGamma, to_generalized_hyperbolic
        >>> law = VarianceGamma.from_classical([0.0], sigma=[[1.0]], alpha=2.0, beta=2.0)
        >>> same = to_generalized_hyperbolic(law)
        >>> float(same.p), float(same.a), float(same.b)
        (2.0, 4.0, 0.0)
    """
    joint = model.joint
    subordinator = to_gig(joint.subordinator)
    return GeneralizedHyperbolic(
        JointGeneralizedHyperbolic(joint.mu, joint.gamma, joint.dispersion, subordinator)
    )


def to_family(model: NormalMixture, family: type[Family]) -> Family:
    """The member of a family whose joint law f(x, y) is closest to that of a model.

    min over g of KL(model ‖ g): the same μ, γ and Σ, and the subordinator with the mean statistics
    of the model's (`normix_expfam.project`). It is the model itself if that belongs to the family.

    Raises:
        ValueError: if the subordinator has an infinite mean statistic that the family matches.

    Examples:
        Y ~ Gamma(2, 2) has E Y = 1 and E 1/Y = 2; InverseGaussian(μ, λ) has μ and 1/μ + 1/λ.

        >>> from normix_mixtures import NormalInverseGaussian, VarianceGamma, to_family
        >>> law = VarianceGamma.from_classical([0.0], sigma=[[1.0]], alpha=2.0, beta=2.0)
        >>> near = to_family(law, NormalInverseGaussian)
        >>> round(float(near.mu_ig), 6), round(float(near.lam), 6)
        (1.0, 1.0)
    """
    joint, target = model.joint, family.joint_family
    subordinator = project(joint.subordinator, target.subordinator_family)
    return family._wrap(target._assemble(joint.mu, joint.gamma, joint.dispersion, subordinator))
