"""Seconds of the first call, nearly all of them compilation, in new processes.

Every process imports what it needs and starts JAX on a trivial function; then it calls one function
once, on a thousand points. The peers and floors, each in its own process:

- log K: JAX's own gammaincc, a function of two real variables with regimes and loops as well; and
  what SciPy, which compiles nothing, takes to be imported and to answer;
- the GIG density: that of JAX's gamma law, whose normalising constant is a primitive of XLA;
- the inversion of η: JAX's own BFGS in three variables on a cheap function;
- a marginal density: JAX's multivariate normal density, one Cholesky factor and one solve;
- a whole fit, from the first import on: the import of jax and equinox, and the first call of one
  Cholesky factor, one solve and one weighted Gram product, without which there is no iteration.
"""

import json

import numpy as np
import pytest
from scipy import special, stats

from normix_expfam import GIG

pytestmark = pytest.mark.benchmark(group="compile")

ROUNDS = 2
V, Z = np.linspace(-9, 9, 1000), np.geomspace(1e-3, 1e3, 1000)
POINTS = "v, z = np.linspace(-9, 9, 1000), np.geomspace(1e-3, 1e3, 1000)"

FIRST_CALL = """
import json, time
import jax, jax.numpy as jnp, numpy as np
jax.config.update("jax_enable_x64", True)
{points}
{given}
jax.block_until_ready(jax.jit(lambda x: x + 1)(1.0))
began = time.perf_counter()
result = jax.block_until_ready({call})
seconds = time.perf_counter() - began
print(json.dumps(dict(seconds=seconds, answer=float(np.sum({answer})))))
"""
SCIPY = f"""
import json, time
import numpy as np
{POINTS}
began = time.perf_counter()
from scipy import special
result = np.log(special.kve(v, z)) - z
print(json.dumps(dict(seconds=time.perf_counter() - began, answer=result.sum())))
"""


def first_call(given: str, call: str, answer: str = "jax.tree.leaves(result)[0]") -> str:
    return FIRST_CALL.format(points=POINTS, given=given, call=call, answer=answer)


def value_and_gradient(function: str, at: str) -> str:
    return f"jax.jit(jax.vmap(jax.value_and_grad({function}, (0, 1))))({at})"


LOG_KV = "from normix_bessel import log_kv, log_kv_moments"
GAMMAINCC = "from jax.scipy.special import gammaincc; a = 1 + abs(v)"
LOG_K_CALLS = {
    "value": ("jax.jit(log_kv)(v, z)", "jax.jit(gammaincc)(a, z)"),
    "gradient": (value_and_gradient("log_kv", "v, z"), value_and_gradient("gammaincc", "a, z")),
    "moments": ("jax.jit(log_kv_moments)(v, z)", value_and_gradient("gammaincc", "a, z")),
}


@pytest.mark.parametrize("what", LOG_K_CALLS)
def test_log_kv(beside_in_new_processes, what):
    """First call of log K_v(z): value, value with gradient, or moments"""
    call, peer = LOG_K_CALLS[what]
    answer = "result.log_kv" if what == "moments" else "jax.tree.leaves(result)[0]"
    ours, *_ = beside_in_new_processes(
        first_call(LOG_KV, call, answer),
        rounds=ROUNDS,
        jax_gammaincc=first_call(GAMMAINCC, peer),
        import_and_call_of_scipy_kve=SCIPY,
    )
    expected = np.sum(np.log(special.kve(V, Z)) - Z)
    np.testing.assert_allclose(ours["answer"], expected, rtol=1e-12)


def test_gig_log_prob(beside_in_new_processes):
    """First call of the GIG density"""
    ours, _ = beside_in_new_processes(
        first_call(
            "from normix_expfam import GIG; law = GIG(1.5, 2.0, 3.0)",
            "jax.jit(lambda law, x: law.log_prob(x))(law, z)",
        ),
        rounds=ROUNDS,
        jax_gamma_density=first_call(
            "from jax.scipy.stats import gamma", "jax.jit(gamma.logpdf)(z, 1.5)"
        ),
    )
    law = stats.geninvgauss(1.5, np.sqrt(6.0), scale=np.sqrt(1.5))
    np.testing.assert_allclose(ours["answer"], np.sum(law.logpdf(Z)), rtol=1e-10)


def test_gig_from_expectation(beside_in_new_processes):
    """First call of the GIG law of given mean statistics"""
    eta = np.asarray(GIG(-0.7, 2.0, 0.5).expectation_params()).tolist()
    ours, _ = beside_in_new_processes(
        first_call(
            f"from normix_expfam import GIG; eta = np.array({eta})",
            "GIG.from_expectation(eta)",
            "result.p",
        ),
        rounds=ROUNDS,
        jax_bfgs=first_call(
            "from jax.scipy.optimize import minimize",
            'jax.jit(lambda x: minimize(lambda y: jnp.sum(jnp.cosh(y)), x, method="BFGS").x)'
            "(jnp.arange(3.0))",
        ),
    )
    np.testing.assert_allclose(ours["answer"], -0.7, rtol=1e-9)


GH = """
import equinox as eqx
from normix_mixtures import GeneralizedHyperbolic
X = np.tile({x}, (200, 1))
law = GeneralizedHyperbolic.from_classical({mu}, {gamma}, {sigma}, p={p}, a={a}, b={b})
"""
NORMAL = """
from jax.scipy.stats import multivariate_normal
X = np.tile([1.0, 2.0, 3.0], (1200, 1))
"""


def test_gh_log_prob(beside_in_new_processes, shared_data):
    """First call of a generalized hyperbolic density in three dimensions"""
    cases = json.loads((shared_data / "reference_gh.json").read_text(encoding="utf-8"))
    case = next(row for row in cases["multivariate"] if row["case"] == "d3_GH")
    mu, gamma, sigma, x = (f"np.array({case[name]})" for name in ("mu", "gamma", "sigma", "x"))
    given = GH.format(
        x=x, mu=mu, gamma=gamma, sigma=sigma, p=case["lambda"], a=case["psi"], b=case["chi"]
    )
    ours, _ = beside_in_new_processes(
        first_call(given, "eqx.filter_jit(lambda law, X: law.log_prob(X))(law, X)"),
        rounds=ROUNDS,
        jax_normal_density=first_call(
            NORMAL, "jax.jit(multivariate_normal.logpdf)(X, X[0], np.eye(3))"
        ),
    )
    expected = 200 * sum(map(float, case["mp_logpdf"]))
    np.testing.assert_allclose(ours["answer"], expected, rtol=1e-10)


FIT = """
import json, time
began = time.perf_counter()
import jax
jax.config.update("jax_enable_x64", True)
import normix
result = normix.fit(normix.datasets.load("ecb_fx").values, "gh")
seconds = time.perf_counter() - began
print(json.dumps(dict(
    seconds=seconds, compiling=result.compile_seconds, answer=result.log_likelihood,
    evaluations=result.n_evaluations,
)))
"""
JAX_EQUINOX = """
import json, time
began = time.perf_counter()
import jax, equinox
print(json.dumps(dict(seconds=time.perf_counter() - began)))
"""
ITERATION = """
import json, time
began = time.perf_counter()
import jax, jax.numpy as jnp, numpy as np
import equinox
jax.config.update("jax_enable_x64", True)

@jax.jit
def floor(sigma, X, w):
    L = jnp.linalg.cholesky(sigma)
    return jax.scipy.linalg.solve_triangular(L, X.T, lower=True), X.T @ (X * w[:, None])

jax.block_until_ready(floor(np.eye(27), np.ones((2552, 27)), np.ones(2552)))
print(json.dumps(dict(seconds=time.perf_counter() - began)))
"""


def test_whole_fit(beside_in_new_processes, benchmark, best_known):
    """Import and generalized hyperbolic fit of 2552 x 27 exchange rates"""
    ours, *_ = beside_in_new_processes(
        FIT,
        rounds=ROUNDS,
        floor_import_jax_equinox=JAX_EQUINOX,
        floor_import_and_cholesky_solve_gram=ITERATION,
    )
    assert ours["answer"] > best_known("gh") - 1e-6
    assert ours["evaluations"] <= 20
    benchmark.extra_info["seconds_compiling"] = ours["compiling"]
