"""What a user of built wheels gets: `python -I -W error smoke.py normix_bessel`.

Run it in an environment with that wheel and what it brought along, outside the workspace.
"""

import importlib
import math
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import jax
import jax.numpy as jnp

jax.config.update("jax_enable_x64", True)

ABSENT = {
    "normix_bessel": ("equinox", "jaxtyping", "matplotlib", "normix_expfam"),
    "normix_expfam": ("matplotlib", "rich", "normix_mixtures", "normix_fit", "normix"),
    "normix_mixtures": ("matplotlib", "rich", "normix_fit", "normix"),
    "normix_fit": ("matplotlib", "rich", "normix"),
    "normix": ("pandas", "mpmath", "pytest", "beartype"),
}


def normix_bessel() -> None:
    from normix_bessel import log_kv

    half = 0.5 * math.log(math.pi / 4) - 2  # K_1/2(z) = √(π / 2z) e^-z
    for backend in ("jax", "cpu"):
        assert math.isclose(float(log_kv(0.5, 2.0, backend=backend)), half, rel_tol=1e-14)
    assert abs(float(jax.grad(log_kv)(0.0, 2.0))) < 1e-15  # even in the order


def normix_expfam() -> None:
    from normix_expfam import GIG

    law = GIG(-0.7, 2.0, 3.0)
    for backend in ("jax", "cpu"):
        again = GIG.from_expectation(law.expectation_params(), backend=backend)
        assert math.isclose(float(again.p), -0.7, rel_tol=1e-6)


def normix_mixtures() -> None:
    from normix_mixtures import NormalInverseGaussian

    law = NormalInverseGaussian.from_moments(jnp.zeros(2), jnp.eye(2), spread=1.0)
    X = law.sample(jax.random.key(0), (1000,))
    assert float(law.log_prob(X).mean()) > -3.0


def normix_fit() -> None:
    from normix_fit import fit

    Y = jax.random.exponential(jax.random.key(0), (500, 1))
    X = jnp.sqrt(Y) * jax.random.normal(jax.random.key(1), (500, 2))
    assert fit(X, "vg").converged


def normix() -> None:
    import normix as package

    X = package.datasets.load("ecb_fx").values[:, :2]
    result = package.fit(X, "nig")
    assert result.converged
    assert bool(jnp.isfinite(result.model.log_prob(X)).all())
    command = Path(sys.executable).with_name("normix")
    subprocess.run([command, "--help"], check=True, stdout=subprocess.DEVNULL)


def main(top: str) -> None:
    present = [name for name in ABSENT[top] if find_spec(name) is not None]
    assert not present, f"{top} brought {present} along"
    package = importlib.import_module(top)
    source = Path(__file__).resolve().parent.parent
    assert not Path(package.__file__).is_relative_to(source / "packages"), package.__file__
    globals()[top]()
    print(f"{top} {version(top.replace('_', '-'))}: works, without {', '.join(ABSENT[top])}")


if __name__ == "__main__":
    main(sys.argv[1])
