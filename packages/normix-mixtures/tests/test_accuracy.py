"""log f(x) to 1e-12 against 40-digit integrals, in 1 to 468 dimensions and from limit to limit."""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from normix_expfam import GeneralizedInverseGaussian
from normix_mixtures import (
    DenseDispersion,
    GeneralizedHyperbolic,
    JointGeneralizedHyperbolic,
    NormalInverseGaussian,
    VarianceGamma,
)

DIMENSIONS = (1, 3, 50, 468)
SUBORDINATORS = {
    "near normal": (1.0, 1e4, 1e4),
    "near normal, skewed order": (-3e3, 5e3, 8e3),
    "moderate": (0.7, 1.4, 0.9),
    "order 30": (30.0, 0.01, 60.0),
    "order -30": (-30.0, 60.0, 0.01),
    "a almost 0": (-2.45, 1e-10, 2.9),
    "b almost 0": (1.7, 3.0, 1e-10),
    "a = 0": (-2.0, 0.0, 3.0),
    "b = 0": (2.5, 2.0, 0.0),
    "b = 0, finite at μ": (240.0, 480.0, 0.0),
}


def mp_log_partition(p, a, b):
    """log ∫ y^(p-1) exp(-(a y + b/y)/2) dy by the trapezoidal rule in log y."""
    if b == 0:
        return mp.loggamma(p) - p * mp.log(a / 2)
    if a == 0:
        return mp.loggamma(-p) + p * mp.log(b / 2)
    w = mp.sqrt(p * p + a * b)
    y0 = (w + p) / a if p > 0 else b / (w - p)
    up, down = (w + p) / 2, (w - p) / 2
    if p > 0:
        down = a * b / (2 * (w + p))
    else:
        up = a * b / (2 * (w - p))
    step = min(mp.mpf("0.1"), mp.mpf("0.25") / mp.sqrt(w))

    def side(sign):
        total, k = mp.mpf(0), 1
        while True:
            u = sign * k * step
            term = mp.exp(-up * (mp.expm1(u) - u) - down * (mp.expm1(-u) + u))
            total += term
            if term < mp.mpf("1e-38"):
                return total
            k += 1

    mass = step * (1 + side(1) + side(-1))
    return p * mp.log(y0) - w + mp.log(mass)


def mp_log_density(law, mu, gamma, L, x):
    """The textbook formula, which 40 digits can afford to cancel in."""
    d = len(mu)

    def whitened(v):
        out = []
        for i in range(d):
            row = L[i]
            known = mp.fsum(mp.mpf(row[j]) * out[j] for j in range(i) if row[j] != 0)
            out.append((v[i] - known) / mp.mpf(row[i]))
        return out

    z = whitened([mp.mpf(one) - mp.mpf(other) for one, other in zip(x, mu, strict=True)])
    skew = whitened([mp.mpf(value) for value in gamma])
    square, gain = mp.fsum(v * v for v in z), mp.fsum(v * v for v in skew)
    linear = mp.fsum(v * s for v, s in zip(z, skew, strict=True))
    p, a, b = (mp.mpf(value) for value in law)
    log_det = mp.fsum(mp.log(mp.mpf(L[i][i])) for i in range(d))
    return (
        mp_log_partition(p - mp.mpf(d) / 2, a + gain, b + square) - mp_log_partition(p, a, b)
        + linear - log_det - mp.mpf(d) / 2 * mp.log(2 * mp.pi)
    )  # fmt: skip


def parts(d):
    """μ, γ, a banded Cholesky factor, and points: typical, far out, near μ."""
    rng = np.random.default_rng(d)
    mu, gamma = rng.standard_normal(d), rng.standard_normal(d) / np.sqrt(d)
    L = np.diag(rng.uniform(0.5, 2.0, d)) + np.diag(rng.uniform(-0.5, 0.5, max(d - 1, 0)), -1)
    direction = L @ rng.standard_normal(d)
    X = mu + np.stack([direction + gamma, 100 * direction, -3e4 * direction, 1e-3 * direction])
    return mu, gamma, L, X


@pytest.mark.parametrize("d", DIMENSIONS)
def test_log_density(d, log_prob):
    mu, gamma, L, X = parts(d)
    with mp.workdps(40):
        for case, law in SUBORDINATORS.items():
            p, a, b = law
            model = GeneralizedHyperbolic.from_classical(mu, gamma, L_Sigma=L, p=p, a=a, b=b)
            values = np.stack([log_prob(model, X), model.e_step(X).log_prob], axis=1)
            for x, both in zip(X, values, strict=True):
                expected = mp_log_density(law, mu, gamma, L, x)
                for got in both:
                    error = abs(mp.mpf(float(got)) - expected) / max(1, abs(expected))
                    assert error < 1e-12, (case, float(np.linalg.norm(x - mu)), float(error))


@pytest.mark.parametrize("d", DIMENSIONS)
def test_log_density_at_mu(d, log_prob):
    mu, gamma, L, _ = parts(d)
    with mp.workdps(40):
        for case, law in SUBORDINATORS.items():
            p, a, b = law
            model = GeneralizedHyperbolic.from_classical(mu, gamma, L_Sigma=L, p=p, a=a, b=b)
            got = float(log_prob(model, np.stack([mu] * 4))[0])
            if b == 0 and p <= d / 2:
                assert got == np.inf, case
                continue
            expected = mp_log_density(law, mu, gamma, L, mu)
            assert abs(got - float(expected)) <= 1e-12 * max(1, abs(float(expected))), case


def test_special_members_share_the_formula(log_prob):
    mu, gamma, L, X = parts(3)
    for model in (
        VarianceGamma.from_classical(mu, gamma, L_Sigma=L, alpha=2.5, beta=1.0),
        NormalInverseGaussian.from_classical(mu, gamma, L_Sigma=L, mu_ig=0.5, lam=1e4),
    ):
        law = [float(value) for value in model.joint.subordinator_as_gig()]
        with mp.workdps(40):
            expected = [float(mp_log_density(law, mu, gamma, L, x)) for x in X]
        np.testing.assert_allclose(log_prob(model, jnp.asarray(X)), expected, rtol=1e-12)


GRADIENT_LAWS = {
    "near normal": (1.0, 1e4, 1e4),
    "moderate": (0.7, 1.4, 0.9),
    "order -30": (-30.0, 60.0, 0.01),
    "a almost 0": (-2.45, 1e-10, 2.9),
    "a = 0": (-3.2, 0.0, 3.0),
    "b = 0": (4.5, 2.0, 0.0),
}


def test_gradients_in_every_parameter_of_every_kind_of_law():
    """In a = 0 or b = 0 as well, where the derivatives are one-sided; they exist for these p."""
    d = 3
    mu, gamma, L, X = parts(d)
    rows, columns = np.tril_indices(d)
    names = ["p", "a", "b", *(f"mu{i}" for i in range(d)), *(f"gamma{i}" for i in range(d)),
             *(f"L{i}{j}" for i, j in zip(rows, columns, strict=True))]  # fmt: skip

    @jax.jit
    def gradient(flat, x):
        def value(flat):
            factor = jnp.zeros((d, d)).at[rows, columns].set(flat[3 + 2 * d :])
            subordinator = GeneralizedInverseGaussian(*flat[:3], check=False)
            joint = JointGeneralizedHyperbolic(
                flat[3 : 3 + d], flat[3 + d : 3 + 2 * d], DenseDispersion(factor), subordinator
            )
            return GeneralizedHyperbolic(joint).log_prob(x)

        return jax.grad(value)(flat)

    def reference(flat, x):
        factor = [[mp.mpf(0)] * d for _ in range(d)]
        for i, j, entry in zip(rows, columns, flat[3 + 2 * d :], strict=True):
            factor[i][j] = entry
        return mp_log_density(flat[:3], flat[3 : 3 + d], flat[3 + d : 3 + 2 * d], factor, x)

    with mp.workdps(50):
        for case, law in GRADIENT_LAWS.items():
            flat = np.concatenate([law, mu, gamma, L[rows, columns]])
            for x in (X[0], X[1], mu):
                got = np.asarray(gradient(jnp.asarray(flat), jnp.asarray(x)))
                exact = [mp.mpf(float(value)) for value in flat]
                for i, name in enumerate(names):
                    one_sided = name in "ab" and exact[i] == 0
                    step = mp.mpf("1e-24") if one_sided else mp.mpf("1e-14") * max(1, abs(exact[i]))
                    above, below = list(exact), list(exact)
                    above[i] += step
                    below[i] -= 0 if one_sided else step
                    rise = reference(above, x) - reference(below, x)
                    expected = float(rise / (step if one_sided else 2 * step))
                    scale = max(abs(expected), 1e-3 * np.abs(got).max())
                    assert abs(got[i] - expected) <= 1e-9 * scale, (case, name, got[i], expected)
