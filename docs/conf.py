"""Sphinx configuration."""

from __future__ import annotations

import frisket

project = "frisket"
author = "The frisket authors"
copyright = "The frisket authors"
version = release = frisket.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.viewcode"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "frisket"

autosummary_generate = True
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "none"  # the signature shows them as they are written, shapes included
autodoc_preserve_defaults = True
