"""How Sphinx builds this folder; `make docs` builds it into out/docs."""

import sys
from importlib.util import find_spec
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent))
from making import fill

import hpobench_llm

project = "HPOBench-LLM"
author = "The HPOBench-LLM authors"
version = release = hpobench_llm.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["making"]

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

default_role = "code"  # what stands in backticks in a docstring
autodoc_mock_imports = [
    name
    for name in ("ConfigSpace", "botorch", "optuna", "optunahub", "syne_tune", "torch")
    if find_spec(name) is None
]
autodoc_typehints = "none"  # signatures have them; below they would stand twice
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"HPOBench-LLM {release}"
html_static_path = ["style"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_use_index = False
html_domain_indices = False
html_theme_options = {"footer_icons": []}


def setup(app: Sphinx) -> None:
    """Fill in, as each page is read, what is made from the code and what a README says."""
    app.connect("source-read", lambda _, name, source: source.append(fill(source.pop(), name)))
