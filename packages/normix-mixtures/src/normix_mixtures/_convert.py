"""Conversions between families: the one place where they know each other."""

from normix_expfam import to_gig

from ._marginal import NormalMixture
from .families.generalized_hyperbolic import GeneralizedHyperbolic, JointGeneralizedHyperbolic


def to_generalized_hyperbolic(model: NormalMixture) -> GeneralizedHyperbolic:
    """The same law as a member of the generalized hyperbolic family, exactly."""
    joint = model.joint
    subordinator = to_gig(joint.subordinator)
    return GeneralizedHyperbolic(
        JointGeneralizedHyperbolic(joint.mu, joint.gamma, joint.dispersion, subordinator)
    )
