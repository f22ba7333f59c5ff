"""Sphinx: `uv run nox -s docs` builds the site, strictly, and runs its examples."""

import re
from pathlib import Path

from jupyter_cache import get_cache

project = "normix"
author = "the normix developers"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.doctest",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinxcontrib.bibtex",
]
exclude_patterns = ["_build"]

# Pages
myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "colon_fence"]
myst_heading_anchors = 3
bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "author_year"

# Tutorials: executed at each build of a fresh tree, kept between builds
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True

# Docstrings: `name` in backticks is a name or a short formula
default_role = "literal"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_preprocess_types = False
napoleon_attr_annotations = False
strip_signature_backslash = True  # lambda_ keeps its underscore
smartquotes_action = "D"  # dashes; quotes belong to code, and θ' to mathematics
doctest_global_setup = """
import jax
jax.config.update("jax_enable_x64", True)
"""

# Look
html_theme = "furo"
html_title = "normix"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
html_static_path = ["_static"]
html_css_files = ["wide.css"]


def shorten(_app, _what, _name, _obj, _options, *texts):
    """ArrayLike as it is written in the source, and not as the union that it stands for."""
    union = r"~[\w.]*Array \| ~numpy.ndarray \| ~numpy.bool \| ~numpy.number"
    pattern = rf"{union} \| bool \| int \| float \| complex"
    return tuple(text and re.sub(pattern, "ArrayLike", text) for text in texts)


def spread(_app, env, docnames):
    """Pages that are executed far from each other: processes read neighbouring pages.

    The cache of what they show is made before, for two processes would make it at once.
    """
    get_cache(env.mystnb_config.execution_cache_path).list_cache_records()

    def executed(name):
        return "{code-cell}" in Path(env.doc2path(name)).read_text(encoding="utf-8")

    long = [name for name in docnames if executed(name)]
    short = [name for name in docnames if name not in long]
    for k, name in enumerate(long):
        short.insert(k * len(docnames) // len(long), name)
    docnames[:] = short


def setup(app):
    app.connect("env-before-read-docs", spread)
    app.connect("autodoc-process-signature", shorten)
