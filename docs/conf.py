"""Sphinx configuration."""

from __future__ import annotations

import re

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


def plain_text(app, what, name, obj, options, lines: list[str]) -> None:
    """Docstrings are plain text with `code` in single backticks: keep their stars and bars as they are."""
    for i, line in enumerate(lines):
        parts = line.split("`")
        paired = len(parts) % 2 == 1
        prose = [re.sub(r"([\\*|_])", r"\\\1", p) if j % 2 == 0 or not paired else p for j, p in enumerate(parts)]
        lines[i] = "``".join(prose) if paired else r"\`".join(prose)


def setup(app) -> None:
    app.connect("autodoc-process-docstring", plain_text)
