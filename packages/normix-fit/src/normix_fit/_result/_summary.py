"""The account of a fit as text: facts in two columns, then the parameters."""

from collections.abc import Sequence
from textwrap import wrap

import numpy as np

from normix_mixtures import NormalMixture

_LARGEST = 12  # components that are listed
_WIDTH = 80


def summarise(model: NormalMixture, facts: Sequence[tuple[str, str]]) -> str:
    """Facts as ``name  value`` lines, and below them the model in the gauge of `normalize`.

    Args:
        model: of d components, which are listed for d <= 12.
        facts: names and values.
    """
    model = model.normalize()
    named = model.subordinator_parameters()
    law = ", ".join(f"{name} = {float(value):.6g}" for name, value in named.items())
    lines = [*facts, ("subordinator", f"{type(model.subordinator).__name__}({law})")]
    width = max(len(name) for name, _ in lines)
    text = [type(model).__name__]
    for name, value in lines:
        first, *rest = wrap(value, _WIDTH - width - 4, break_on_hyphens=False) or [""]
        text += [f"  {name:<{width}}  {first}", *(f"{'':{width + 4}}{more}" for more in rest)]
    if model.dimension <= _LARGEST:
        text += ["", *_components(model)]
    return "\n".join(text)


def _components(model: NormalMixture) -> list[str]:
    """μ, γ and √Σ_jj, one line per component."""
    scale = np.sqrt(np.asarray(model.joint.dispersion.diagonal()))
    table = np.stack([np.asarray(model.mu), np.asarray(model.gamma), scale], axis=1)
    header = "".join(f"{name:>14}" for name in ("mu", "gamma", "scale"))
    rows = [f"{j + 1:>5}" + "".join(f"{x:>14.6g}" for x in row) for j, row in enumerate(table)]
    return [f"{'':5}{header}", *rows]
