"""Configuration of the site: `make docs` builds it into build/docs/html, without a network."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

from gallery import (  # noqa: E402  (this folder is on the path only now)
    arguments_of_example,
    order_of_examples,
    written_figures,
)
from keras_stand_in import load_callbacks  # noqa: E402

from fastmlp import __version__  # noqa: E402

load_callbacks()

project = "fastmlp"
copyright = "the fastmlp developers"
release = version = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
    "sphinx_copybutton",
    "contents",
    "formulas",
    "public_names",
    "repository_links",
    "versions_added",
]
exclude_patterns = ["gallery/**/*.ipynb", "**/sg_execution_times.rst", "sg_execution_times.rst"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
nitpicky = True
suppress_warnings = ["config.cache"]  # the gallery's configuration has functions
# What other libraries document, and words that numpydoc takes for classes.
nitpick_ignore_regex = [
    (r"py:.*", r"(numpy|np|scipy|sklearn|pandas|keras|matplotlib|collections|typing|optuna)\..*"),
    (r"py:.*", r"(Exception|ValueError|TypeError|RuntimeError|ArithmeticError|UserWarning|object)"),
]

# Docstrings: types are in their words, and the names of the arguments in the signature.
autodoc_typehints = "none"
autodoc_preserve_defaults = True  # such as os.environ
autodoc_member_order = "bysource"
default_role = "literal"  # single backticks
autosummary_generate = True
autosummary_ignore_module_all = False
toc_object_entries_show_parents = "hide"  # on the right, where there is little room
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
templates_path = ["_templates"]

smartquotes = False  # "adam" is a value

# Pages in Markdown, which are read on GitHub too.
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
copybutton_exclude = ".linenos, .gp, .go"

sphinx_gallery_conf = {
    "nested_sections": False,
    "examples_dirs": ["../examples"],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"\.py$",
    "ignore_pattern": r"__init__\.py|\.ipynb",
    "within_subsection_order": order_of_examples,
    "reset_argv": arguments_of_example,
    "image_scrapers": ("matplotlib", written_figures),
    "abort_on_example_error": True,
    "default_thumb_file": str(HERE / "_static" / "icon.svg"),
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 1e9,
    "doc_module": ("fastmlp",),
    "reference_url": {"fastmlp": None},
    "backreferences_dir": "gallery/backreferences",
    "capture_repr": ("_repr_html_", "__repr__"),
}

html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = f"fastmlp {release}"
html_logo = "_static/logo.svg"
html_favicon = "_static/icon.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"image_light": "_static/logo.svg", "image_dark": "_static/logo-dark.svg"},
    "header_links_before_dropdown": 6,
    "navbar_align": "left",
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "pygments_light_style": "friendly",
    "pygments_dark_style": "nord",
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
