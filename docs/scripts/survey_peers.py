"""What normix and its peers do, found by tests: prints the table of docs/peers.md.

    uv run --no-project --python 3.13 python docs/scripts/survey_peers.py

makes a fresh environment per package in a temporary folder. One package alone, with the traces of
what it refuses:

    uv run --no-project --with mpmath --with efax python docs/scripts/survey_peers.py --peer efax

A cell is what a test found: `yes` (agrees with mpmath to 1e-6), an error, a count, `no` (the call
is not implemented or not traceable) or the name of an exception. Where a package has no test for a
row, the cell is `no` if its source defines no class or function whose name fits, else `? name`.
"""

import argparse
import inspect
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

PEERS = {  # requirements in order of preference, the import that is timed, sources searched
    "normix": ("normix", "from normix import fit, log_kv", "normix*/**/*.py"),
    "tfp": (
        "tensorflow-probability[jax] tfp-nightly[jax]",
        "import tensorflow_probability.substrates.jax",
        "tensorflow_probability/substrates/jax/**/*.py",
    ),
    "distrax": ("distrax", "import distrax", "distrax/**/*.py"),
    "flowjax": ("flowjax", "import flowjax.flows, flowjax.train", "flowjax/**/*.py"),
    "efax": ("efax", "import efax", "efax/**/*.py"),
    "numpyro": ("numpyro", "import numpyro.infer", "numpyro/**/*.py"),
    "gmmx": ("gmmx", "import gmmx", "gmmx/**/*.py"),
    "scipy": ("scipy", "import scipy.stats", "scipy/s[tp][ae][tc]*/**/*.py"),  # stats, special
}
POINTS = [(v, z) for v in (0.3, 1.0, 2.5, 20.25, 500.0) for z in (1e-3, 0.1, 1.0, 30.0, 1e4, 1e5)]
X, MU, GAMMA, NONE = [0.5, -1.0, 2.0], [0.1, 0.0, -0.2], [0.3, -0.4, 0.5], [0.0, 0.0, 0.0]
SIGMA = [[2.0, 0.3, 0.1], [0.3, 1.0, -0.2], [0.1, -0.2, 0.5]]
SHAPES = {"nig": (-0.5, 1, 1), "vg": (2, 1, 0), "ninvg": (-2, 0, 3), "gh": (0.7, 1, 0.5)}
CUTS = [0, 0.1, 0.3, 1, 3, 10, 30, float("inf")]


def log_gig(y, p, a, b):
    if a == 0:
        norm = mp.loggamma(-p) + p * mp.log(mp.mpf(b) / 2)
    elif b == 0:
        norm = mp.loggamma(p) - p * mp.log(mp.mpf(a) / 2)
    else:
        norm = mp.log(2 * mp.besselk(p, mp.sqrt(a * b))) + mp.mpf(p) / 2 * mp.log(mp.mpf(b) / a)
    return (p - 1) * mp.log(y) - (a * y + b / y) / 2 - norm


def log_mixture(x, mu, gamma, sigma, shape):
    inverse, scale = mp.inverse(mp.matrix(sigma)), mp.det(mp.matrix(sigma))

    def joint(y):
        r = mp.matrix([xi - m - g * y for xi, m, g in zip(x, mu, gamma, strict=True)])
        square, volume = (r.T * inverse * r)[0], scale * (2 * mp.pi * y) ** len(x)
        return mp.exp(log_gig(y, *shape) - square / (2 * y)) / mp.sqrt(volume)

    return mp.log(mp.quad(joint, CUTS))


def nig_cdf(x):
    """Of the law with α = 2, β = 1/2, δ = 1, μ = 0."""
    shape = (-0.5, mp.mpf("3.75"), 1)

    def tail(y):
        return mp.ncdf((x - y / 2) / mp.sqrt(y)) * mp.exp(log_gig(y, *shape))

    return mp.quad(tail, CUTS)


def t_cdf(x):
    return mp.betainc(1.5, 0.5, 0, 3 / (3 + mp.mpf(x) ** 2), regularized=True) / 2


def kl(p, q):
    return mp.quad(lambda y: mp.exp(log_gig(y, *p)) * (log_gig(y, *p) - log_gig(y, *q)), CUTS)


def A(*values):
    """Arrays in the precision that is switched on: a Python number may be taken as float32."""
    return [jnp.asarray(value, jnp.result_type(float)) for value in values]


def error(got, want, floor=1e-300):
    got, want = np.asarray(got, float), np.asarray(want, float)
    return np.max(np.abs(got - want) / np.maximum(np.abs(want), floor))


def agree(got, want):
    return "yes" if error(got, want) < 1e-6 else f"{error(got, want):.0e}"


def bessel(f):
    want = [mp.log(mp.besselk(*point)) for point in POINTS]
    return f"{error(f(*A(*np.transpose(POINTS))), want, 1):.0e}"


def bessel_slope(f):
    got = np.array([jax.grad(f)(*A(*point)) for point in POINTS])
    want = [mp.diff(lambda s, z=z: mp.log(mp.besselk(s, z)), v) for v, z in POINTS]
    return f"{error(got, want):.0e}" if got.any() else "returns 0"


def short(law, parameters):
    """Nats per row below the maximum of the likelihood."""
    value, start = {
        "gamma": (lambda s: -np.mean(st.gamma.logpdf(DATA[law], s[0], scale=1 / s[1])), [2, 1]),
        "t": (lambda s: -np.mean(st.t.logpdf(DATA[law], *s)), [3, 0, 1]),
    }[law]
    best = optimize.minimize(value, start, method="Nelder-Mead", options={"xatol": 1e-9}).fun
    gap = value(np.array([float(p) for p in parameters])) - best
    return "0" if gap < 1e-6 else f"{gap:.0e}"


def descend(f):
    x, start = A(DATA["gamma"])[0], jnp.zeros(2)
    slope = jax.grad(lambda s: -jnp.mean(jax.vmap(lambda r: f(r, *jnp.exp(s)))(x)))
    end = jax.jit(lambda s: jax.lax.fori_loop(0, 3000, lambda _, s: s - 0.2 * slope(s), s))(start)
    return short("gamma", jnp.exp(end)) if end.dtype == "float32" else str(end.dtype)


def traced(f):
    slopes = jax.jit(jax.vmap(jax.grad(f, (0, 1, 2))))(*A([0.5, 1, 2], [1.5, 2, 3], [1.0, 2, 3]))
    return "yes" if np.all(np.isfinite(slopes)) else "nan"


def rises(f, x):
    before, after, converged = f(A(x)[0])
    return "yes" if converged and after > before else "falls"


GIG, NIG, STUDENT = r"gen\w*inv\w*gauss|^gig", r"norm\w*inv\w*gauss", "student|^t_gen"
BESSEL, NATURAL = "bessel_?k|kve?$|second_kind", "natural_?param|^log_(normalizer|partition)"
VECTOR = r"(multi|vector|mv)\w*(hyperbolic|inv\w*gauss|variance_?gamma|skew)"
FIT = "^(fit|mle|fit_mle|experimental_fit|fit_to_data)$"
# fmt: off
ROWS = (  # adapter, title, names that would mean that a package has it, test of the adapter
    ("gig", "density: generalized inverse Gaussian", GIG,
     lambda f: agree(f(*A(0.7, -1.3, 2.0, 0.5)), log_gig(0.7, -1.3, 2.0, 0.5))),
    ("nig", "density: normal inverse Gaussian", NIG,
     lambda f: agree(f(*A(-3.0, 2.0, 0.5)),
                     log_mixture([-3.0], [0], [0.5], [[1]], (-0.5, 3.75, 1)))),
    ("gh", "density: generalized hyperbolic", "hyperbolic",
     lambda f: agree(f(*A(-3.0, 1.3, 2.0, 0.5)),
                     log_mixture([-3.0], [0], [0.5], [[1]], (1.3, 3.75, 1)))),
    ("vectors", "density: skewed vectors (NIG, VG, skewed t, GH), of 4", VECTOR,
     lambda f: sum(agree(f(*A(X, MU, GAMMA, SIGMA), name),
                         log_mixture(X, MU, GAMMA, SIGMA, shape)) == "yes"
                   for name, shape in SHAPES.items())),
    ("vector_t", "density: multivariate t", r"multi\w*(student|_t_)",
     lambda f: agree(f(*A(X, 4.0, MU, SIGMA)), log_mixture(X, MU, NONE, SIGMA, (-2, 0, 4)))),
    ("mixture", "density: mixture of Gaussians", "^mixture$|^mixture_?(same|of)|gaussian_?mixture",
     lambda f: agree(f(*A([1.0], [0.3, 0.7], [[0.0], [3.0]], [[[1.0]]] * 2)),
                     mp.log((0.3 * mp.exp(-0.5) + 0.7 * mp.exp(-2)) / mp.sqrt(2 * mp.pi)))),
    ("laws", "laws, public classes", "^distribution$", lambda f: f()),
    ("log_kv", "log K, worst error", BESSEL, bessel),
    ("log_kv", "log K, worst error in float32", BESSEL, bessel),
    ("log_kv", "∂ log K/∂v, worst error", BESSEL, bessel_slope),
    ("t_cdf", "cdf of t at -50", f"{STUDENT} & ^cdf$",
     lambda f: agree(f(*A(-50.0, 3.0)), t_cdf(-50))),
    ("t_ppf", "quantile of t at 1e-6", f"{STUDENT} & ^(icdf|ppf|quantile)$",
     lambda f: agree(t_cdf(float(f(*A(1e-6, 3.0)))), 1e-6)),
    ("nig_cdf", "cdf of NIG at -12", NIG, lambda f: agree(f(*A(-12.0, 2.0, 0.5)), nig_cdf(-12))),
    ("nig_ppf", "quantile of NIG at 1e-6", NIG,
     lambda f: agree(nig_cdf(float(f(*A(1e-6, 2.0, 0.5)))), 1e-6)),
    ("families", "families with θ and ψ", NATURAL, lambda f: f()),
    ("eta", "η → law, gamma", NATURAL,
     lambda f: agree(f(*A(2.5 / 1.5, float(mp.digamma(2.5) - mp.log(1.5)))), [2.5, 1.5])),
    ("gig_eta", "η → law, generalized inverse Gaussian", f"{NATURAL} & {GIG}",
     lambda f: agree(f(*A(-1.3, 2.0, 0.5)), [-1.3, 2.0, 0.5])),
    ("kl", "KL divergence, gamma", "^kl_divergence",
     lambda f: agree(f(*A(2.0, 1.0, 3.0, 2.0)), kl((2, 2, 0), (3, 4, 0)))),
    ("fit_gamma", "fit of a gamma law, nats per row short", f"{FIT} & ^gamma",
     lambda f: short("gamma", f(A(DATA["gamma"])[0]))),
    ("fit_t", "fit of a t law, nats per row short", f"{FIT} & {STUDENT}",
     lambda f: short("t", f(A(DATA["t"])[0]))),
    ("em_vectors", "EM: skewed heavy-tailed vectors", f"^EM_?(fit|step) & {VECTOR}",
     lambda f: rises(f, DATA["vectors"])),
    ("em_mixture", "EM: mixture of Gaussians", "^EM_?(fit|step) & gaussian_?mixture",
     lambda f: rises(f, DATA["clusters"])),
    ("gamma", "gradient descent in float32, nats per row short", "^gamma", descend),
    ("gamma", "log density under jit, vmap and grad", "log_?(prob|pdf)", traced),
    ("bijectors", "bijectors, public classes", "^(abstract)?(bijector|bijection)$", lambda f: f()),
    ("flow", "normalizing flow with its network", r"_flow$|autoregressive_?n",
     lambda f: "yes" if np.isfinite(f(*A([1.0, 1.0]))) else "nan"),
    ("nuts", "NUTS", "^nuts|nouturn",
     lambda f: "yes" if abs(np.mean(f(KEY, *A(3.0, 0.5))) - 3) < 0.3 else "wrong"),
)


def concrete(module, *bases):
    """The concrete public classes of a module below one of the bases."""
    classes = {c for n, c in inspect.getmembers(module, inspect.isclass) if n[0] != "_"}
    return {c for c in classes if issubclass(c, bases) and c not in bases
            and not inspect.isabstract(c) and "Abstract" not in c.__name__}


def classic(t, full, kl_of):
    """What TFP, Distrax and NumPyro spell alike."""
    return {
        "gamma": lambda x, a, b: t.Gamma(a, b).log_prob(x),
        "mixture": lambda x, w, m, s: t.MixtureSameFamily(
            t.Categorical(probs=w), full(m, s)).log_prob(x),
        "kl": lambda a, b, c, d: kl_of(t.Gamma(a, b), t.Gamma(c, d)),
        "laws": lambda: len(concrete(t, t.Distribution)),
    }


def normix():
    import normix as n
    from normix import families as f
    from normix import mixtures as m
    from normix.fitting import FAMILIES

    shapes = {"nig": {"mu_ig": 1.0, "lam": 1.0}, "vg": {"alpha": 2.0, "beta": 0.5},
              "ninvg": {"alpha": 2.0, "beta": 1.5}, "gh": {"p": 0.7, "a": 1.0, "b": 0.5}}
    families = concrete(f, f.ExponentialFamily) | concrete(m, m.JointNormalMixture)

    def nig(*ab):
        return m.UnivariateNormalMixture.from_prause(-0.5, *ab, 1.0)

    def student(h):
        return m.NormalInverseGamma.univariate(0.0, 0.0, 1.0, alpha=h, beta=h)

    def fit_t(x):
        t = n.fit(x[:, None], "ninvg", symmetric=True).model
        return 2 * t.alpha, t.mu[0], (t.sigma[0, 0] * t.beta / t.alpha) ** 0.5

    def em(x):
        fit = n.fit(x, "gh")
        return fit.log_likelihoods[0], fit.log_likelihood, fit.converged

    return {
        "gig": lambda x, *pab: f.GIG(*pab).log_prob(x),
        "nig": lambda x, *ab: nig(*ab).log_prob(x),
        "gh": lambda x, *pab: m.UnivariateNormalMixture.from_prause(*pab, 1.0).log_prob(x),
        "vectors": lambda x, mu, g, s, name: FAMILIES[name].from_classical(
            mu, g, s, **shapes[name]).log_prob(x),
        "vector_t": lambda x, df, mu, s: m.NormalInverseGamma.from_classical(
            mu, None, s, alpha=df / 2, beta=df / 2).log_prob(x),
        "laws": lambda: len(families | concrete(m, m.NormalMixture)) + 1,  # and the scalar law
        "log_kv": n.log_kv,
        "t_cdf": lambda x, df: student(df / 2).cdf(x),
        "t_ppf": lambda q, df: student(df / 2).ppf(q),
        "nig_cdf": lambda x, *ab: nig(*ab).cdf(x),
        "nig_ppf": lambda q, *ab: nig(*ab).ppf(q),
        "families": lambda: len(families),
        "eta": lambda y, log: jax.tree.leaves(f.Gamma.from_expectation(jnp.stack([log, y]))),
        "gig_eta": lambda *pab: jax.tree.leaves(
            f.GIG.from_expectation(f.GIG(*pab).expectation_params())),
        "kl": lambda a, b, c, d: f.Gamma(a, b).kl_divergence(f.Gamma(c, d)),
        "fit_gamma": lambda x: jax.tree.leaves(f.Gamma.fit_mle(x)),
        "fit_t": fit_t,
        "em_vectors": em,
        "gamma": lambda x, a, b: f.Gamma(a, b, check=False).log_prob(x),
    }


def tfp():
    import tensorflow_probability.substrates.jax as t

    d, b, lower = t.distributions, t.bijectors, t.tf2jax.linalg.LinearOperatorLowerTriangular

    def nig(*ab):
        return d.NormalInverseGaussian(*A(0.0, 1.0), *ab)

    def flow(x):
        net = b.AutoregressiveNetwork(params=2, event_shape=[2], hidden_units=[8])
        return b.MaskedAutoregressiveFlow(net).inverse_log_det_jacobian(x, 1)

    def nuts(key, loc, scale):
        kernel = t.mcmc.NoUTurnSampler(d.Normal(loc, scale).log_prob, 0.4)
        return t.mcmc.sample_chain(200, 0 * loc, kernel=kernel, num_burnin_steps=100,
                                   trace_fn=None, seed=key)

    def fit(law, names):
        return lambda x: [getattr(law.experimental_fit(x), name) for name in names.split()]

    return classic(d, d.MultivariateNormalFullCovariance, d.kl_divergence) | {
        "nig": lambda x, *ab: nig(*ab).log_prob(x),
        "vector_t": lambda x, df, mu, s: d.MultivariateStudentTLinearOperator(
            df, mu, lower(jnp.linalg.cholesky(s))).log_prob(x),
        "log_kv": lambda v, z: t.math.log_bessel_kve(v, z) - z,
        "t_cdf": lambda x, df: d.StudentT(df, *A(0.0, 1.0)).cdf(x),
        "t_ppf": lambda q, df: d.StudentT(df, *A(0.0, 1.0)).quantile(q),
        "nig_cdf": lambda x, *ab: nig(*ab).cdf(x),
        "nig_ppf": lambda q, *ab: nig(*ab).quantile(q),
        "fit_gamma": fit(d.Gamma, "concentration rate"),
        "fit_t": fit(d.StudentT, "df loc scale"),
        "bijectors": lambda: len(concrete(b, b.Bijector)),
        "flow": flow,
        "nuts": nuts,
    }


def distrax():
    import distrax as d

    return classic(d, d.MultivariateNormalFullCovariance, lambda p, q: p.kl_divergence(q)) | {
        "bijectors": lambda: len(concrete(d, d.Bijector))}


def flowjax():
    import equinox
    import paramax
    from flowjax import bijections as b
    from flowjax import distributions as d
    from flowjax import flows
    from flowjax.train import fit_to_data

    def fitted(law, x):
        law, _ = fit_to_data(KEY, law, x, learning_rate=0.01, show_progress=False)
        return law

    def fit_gamma(x):
        law = paramax.unwrap(fitted(d.Gamma(*A(1.0, 1.0)), x))
        return law.base_dist.concentration, 1 / law.bijection.scale

    def fit_t(x):
        law = fitted(d.StudentT(*A(5.0, 0.0, 1.0)), x)
        return law.df, law.loc, law.scale

    return {
        "laws": lambda: len(concrete(d, d.AbstractDistribution)),
        "mixture": lambda x, w, m, s: d.VmapMixture(
            equinox.filter_vmap(d.MultivariateNormal)(m, s), w).log_prob(x),
        "gamma": lambda x, a, b: d.Gamma(a, 1 / b).log_prob(x),
        "fit_gamma": fit_gamma,
        "fit_t": fit_t,
        "bijectors": lambda: len(concrete(b, b.AbstractBijection)),
        "flow": lambda x: flows.masked_autoregressive_flow(
            KEY, base_dist=d.Normal(0 * x)).log_prob(x),
    }


def efax():
    import efax as e

    def natural(a, b):
        return e.GammaNP(-b, a - 1)

    def classical(law):
        return law.shape_minus_one + 1, -law.negative_rate

    families = concrete(e, e.NaturalParametrization, e.HasEntropyNP)
    return {
        "laws": lambda: len(families),
        "families": lambda: len(families),
        "gamma": lambda x, a, b: natural(a, b).log_pdf(x),
        "eta": lambda y, log: classical(e.GammaEP(y, log).to_nat()),
        "kl": lambda a, b, c, d: natural(a, b).kl_divergence(natural(c, d)),
        "fit_gamma": lambda x: classical(
            e.parameter_mean(e.GammaNP.sufficient_statistics(x)).to_nat()),
    }


def numpyro():
    import numpyro as n
    from numpyro import distributions as d
    from numpyro.contrib.hsgp.spectral_densities import modified_bessel_second_kind
    from numpyro.distributions.flows import InverseAutoregressiveTransform
    from numpyro.nn import AutoregressiveNN

    def flow(x):
        init, net = AutoregressiveNN(2, [8])
        weights = init(KEY, (2,))[1]
        step = InverseAutoregressiveTransform(lambda y: net(weights, y))
        return d.TransformedDistribution(d.Normal(0 * x).to_event(1), step).log_prob(x)

    def nuts(key, loc, scale):
        kernel = n.infer.NUTS(lambda: n.sample("x", d.Normal(loc, scale)))
        chain = n.infer.MCMC(kernel, num_warmup=100, num_samples=200, progress_bar=False)
        chain.run(key)
        return chain.get_samples()["x"]

    return classic(d, d.MultivariateNormal, d.kl_divergence) | {
        "vector_t": lambda x, df, mu, s: d.MultivariateStudentT(
            df, mu, jnp.linalg.cholesky(s)).log_prob(x),
        "log_kv": lambda v, z: jnp.log(modified_bessel_second_kind(v, z)),
        "t_cdf": lambda x, df: d.StudentT(df).cdf(x),
        "t_ppf": lambda q, df: d.StudentT(df).icdf(q),
        "bijectors": lambda: len(concrete(d.transforms, d.transforms.Transform)),
        "flow": flow,
        "nuts": nuts,
    }


def gmmx():
    import gmmx as g

    def single(*arrays):  # it refuses float64
        return [jnp.asarray(x, "float32") for x in arrays]

    def model(weights, means, covariances):
        w, m, s = single(weights, means, covariances)
        return g.GaussianMixtureModelJax.from_squeezed(weights=w, means=m, covariances=s)

    def em(x):
        x = single(x)[0]
        start = model([0.5, 0.5], x[:2], [np.eye(2)] * 2)
        fit = g.EMFitter().fit(x, start)
        return start.score(x), fit.gmm.score(x), fit.converged

    def one(x, mean, variance):
        law = model([1.0], mean[None, None], variance[None, None, None])
        return law.score(x[None, None])

    return {
        "laws": lambda: len(concrete(g, g.GaussianMixtureModelJax)) + 1,
        "mixture": lambda x, *wms: model(*wms).score(x[None]),
        "traced": one,
        "em_mixture": em,
    }


def scipy():
    def laws():
        kinds = (st.rv_continuous, st.rv_discrete, type(st.multivariate_normal).__mro__[1])
        return sum(isinstance(law, kinds) for law in vars(st).values())

    return {
        "gig": lambda x, p, a, b: st.geninvgauss.logpdf(x, p, (a * b) ** 0.5, scale=(b / a) ** 0.5),
        "nig": st.norminvgauss.logpdf,
        "gh": st.genhyperbolic.logpdf,
        "vector_t": lambda x, df, mu, s: st.multivariate_t.logpdf(x, mu, s, df),
        "mixture": lambda x, w, m, s: st.Mixture(
            [st.Normal(mu=mu, sigma=v**0.5) for mu, v in zip(m[:, 0], s[:, 0, 0], strict=True)],
            weights=w).logpdf(x[0]),
        "laws": laws,
        "log_kv": lambda v, z: np.log(special.kve(v, z)) - z,
        "t_cdf": st.t.cdf,
        "t_ppf": st.t.ppf,
        "nig_cdf": st.norminvgauss.cdf,
        "nig_ppf": st.norminvgauss.ppf,
        "gamma": lambda x, a, b: st.gamma.logpdf(x, a, scale=1 / b),
        "fit_gamma": lambda x: np.power(st.gamma.fit(x, floc=0), [1, 1, -1])[[0, 2]],
        "fit_t": st.t.fit,
    }
# fmt: on


def survey(peer):
    """Cells of one peer, in the order of ROWS; float32 ones before float64 is switched on."""
    folders = [Path(entry) for entry in sys.path if entry.endswith("-packages")]
    sources = [path for folder in folders for path in folder.glob(PEERS[peer][2])]
    text = "\n".join(path.read_text(errors="ignore") for path in sources)
    names = sorted({*re.findall(r"^\s*(?:class|def) +(\w+)", text, re.MULTILINE)})
    cells, adapters = {}, globals()[peer]()
    for _, title, patterns, test in sorted(ROWS, key=lambda r: "float32" not in r[1]):
        # GMMX refuses float64, and its EM mixes precisions once float64 is switched on
        jax.config.update("jax_enable_x64", "float32" not in title and peer != "gmmx")
        key = next(row[0] for row in ROWS if row[1] == title)
        key = "traced" if test is traced and "traced" in adapters else key
        if key in adapters:
            try:
                cells[title] = str(test(adapters[key]))
            except (NotImplementedError, jax.errors.TracerArrayConversionError) as refusal:
                cells[title] = "no"
                sys.stderr.write(f"{title}: {refusal}\n")
            except Exception as failure:  # noqa: BLE001  # what it raises is the result
                cells[title] = type(failure).__name__
                traceback.print_exc()
        else:
            fits = [re.compile(p, re.IGNORECASE).search for p in patterns.split(" & ")]
            found = [next(filter(fit, names), None) for fit in fits]
            cells[title] = f"? {found[0]}" if all(found) else "no"
    return [cells[row[1]] for row in ROWS]


def measure(peer, folder, wheels):
    """Name, versions and cells of a peer in an environment of its own."""

    def run(*command):
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def weigh():
        site = next(environment.glob("lib/*/site-packages"))
        files = [f for f in site.rglob("*") if f.is_file() and f.suffix != ".pyc"]
        return sum(f.stat().st_size for f in files) / 1e6, len([*site.glob("*.dist-info")])

    def cold(statement):
        clock = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
        return float(run(python, "-c", clock))

    notes = []
    for requirement in PEERS[peer][0].split():
        environment = folder / requirement.split("[")[0]
        python = str(environment / "bin/python")
        run("uv", "venv", "--quiet", "--python", sys.executable, str(environment))
        run("uv", "pip", "install", "--quiet", "--python", python, "jax")
        megabytes, count = weigh()
        what = map(str, wheels) if peer == "normix" else [requirement]
        run("uv", "pip", "install", "--quiet", "--python", python, "jax", *what)
        after = weigh()
        try:
            cold(PEERS[peer][1])
        except subprocess.CalledProcessError as failure:
            notes.append(f"{environment.name}: {failure.stderr.splitlines()[-1]}")
            continue
        pairs = [(cold("import jax"), cold(PEERS[peer][1])) for _ in range(5)]
        both = [statistics.median(times) for times in zip(*pairs, strict=True)]
        run("uv", "pip", "install", "--quiet", "--python", python, "mpmath")
        version = f"import importlib.metadata as m; print(m.version('{environment.name}'))"
        jax_version = run(python, "-c", version.replace(environment.name, "jax")).strip()
        head = f"{environment.name} {run(python, '-c', version).strip()}"
        cells = json.loads(run(python, __file__, "--peer", peer))
        added = [f"{after[0] - megabytes:.1f}", str(after[1] - count), f"{both[1] / both[0]:.1f}"]
        return head, cells + added, [*notes, f"{head}: jax {jax_version}"]
    return peer, ["cannot be imported"] * (len(ROWS) + 3), notes


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", choices=PEERS)
    if peer := parser.parse_args().peer:
        sys.stdout.write(json.dumps(survey(peer)))
        return
    with tempfile.TemporaryDirectory() as folder:
        root, wheels = Path(__file__).parents[2], Path(folder, "wheels")
        build = ["uv", "build", "--quiet", "--all-packages", "--wheel", "--out-dir", str(wheels)]
        subprocess.run(build, cwd=root, check=True)
        results = [measure(peer, Path(folder), wheels.glob("*.whl")) for peer in PEERS]
    weights = ["MB installed beyond jax", "distributions installed beyond jax", "import time / jax"]
    heads, columns, notes = zip(*results, strict=True)
    lines = [("", *heads), ("---",) * (len(heads) + 1)]
    lines += zip([*(row[1] for row in ROWS), *weights], *columns, strict=True)
    sys.stdout.writelines(f"| {' | '.join(line)} |\n" for line in lines)
    sys.stdout.writelines(f"{line}\n" for note in notes for line in note)


if __name__ == "__main__":
    if "--peer" in sys.argv:
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
        import jax
        import jax.numpy as jnp
        import mpmath as mp
        import numpy as np
        from scipy import optimize, special
        from scipy import stats as st

        mp.mp.dps = 30
        KEY, rng = jax.random.PRNGKey(0), np.random.default_rng(0)
        y = 1 / rng.gamma(2.0, size=(500, 1))
        DATA = {
            "gamma": rng.gamma(2.0, size=500),
            "t": 0.1 + 0.7 * rng.standard_t(3, size=1000),
            "vectors": y * np.array(GAMMA) + np.sqrt(y) * rng.standard_normal((500, 3)),
            "clusters": rng.standard_normal((400, 2)) + 4 * (np.arange(400) % 2)[:, None],
        }
    main()
