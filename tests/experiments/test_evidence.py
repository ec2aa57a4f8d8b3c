"""Marks, read from stored evidence."""

from __future__ import annotations

import json

import pytest

from frisket.experiments.evidence import marks, paper_rows, stored
from frisket.experiments.recipes import load_recipe, recipe_names


def test_without_evidence_nothing_is_claimed():
    dit, pit = (marks(load_recipe(name), None) for name in ("dit", "pit"))
    assert dit == {"works": "no", "counts": "no", "parity": "not measured", "effect": "not measured"}
    assert pit["parity"] == "no code"


@pytest.mark.parametrize(
    ("record", "mark", "said"),
    [
        ({"size": "small", "works": {"ok": True, "size": "small"}}, "works", "yes"),
        ({"size": "tiny", "works": {"ok": True, "size": "tiny"}}, "works", "no"),
        ({"counts": [{"ok": True}, {"ok": True}]}, "counts", "yes"),
        ({"counts": [{"ok": True}, {"ok": False}]}, "counts", "no"),
        ({"counts": []}, "counts", "no"),
        ({"parity": {"kind": "module", "ok": True}}, "parity", "module"),
        ({"parity": {"kind": "module", "ok": False}}, "parity", "not measured"),
        ({"effect": {"verdict": "opposite"}}, "effect", "opposite"),
        ({"effect": {"verdict": "shown", "proxy": True, "planted": True}}, "effect", "shown (proxy, planted)"),
        (
            {"effect": {"verdict": "shown", "by construction": True}, "size": "tiny"},
            "effect",
            "shown (by construction, tiny)",
        ),
    ],
)
def test_a_mark_says_what_the_evidence_holds(record, mark, said):
    assert marks(load_recipe("dit"), record)[mark] == said


def test_evidence_lies_in_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert stored("dit") is None
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "dit.json").write_text(json.dumps({"size": "small"}))
    assert stored("dit") == {"size": "small"}
    assert [row["name"] for row in paper_rows()] == recipe_names()
