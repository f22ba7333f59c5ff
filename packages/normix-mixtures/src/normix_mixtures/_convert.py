"""Conversions between families: the one place where they know each other."""

from normix_expfam import GeneralizedInverseGaussian

from ._marginal import NormalMixture
from .families.generalized_hyperbolic import GeneralizedHyperbolic, JointGeneralizedHyperbolic


def to_generalized_hyperbolic(model: NormalMixture) -> GeneralizedHyperbolic:
    """The same law as a member of the generalized hyperbolic family, exactly."""
    joint = model.joint
    subordinator = GeneralizedInverseGaussian(*joint.subordinator_as_gig())
    return GeneralizedHyperbolic(
        JointGeneralizedHyperbolic(joint.mu, joint.gamma, joint.dispersion, subordinator)
    )
