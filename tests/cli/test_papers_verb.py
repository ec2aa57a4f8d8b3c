"""`frisket papers`: marks from stored evidence, never declared."""

from __future__ import annotations

import json

from frisket.experiments.recipes import recipe_names
from run_folders import frisket


def rows(capsys):
    assert frisket("papers", "--json") == 0
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)}


def test_every_recipe_has_a_row_of_known_keys(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    found = rows(capsys)
    assert sorted(found) == recipe_names()
    keys = {"name", "card", "title", "arxiv", "works", "counts", "parity", "effect"}
    assert all(set(row) == keys for row in found.values())
    assert {row["works"] for row in found.values()} == {"no"}


def test_marks_follow_the_evidence(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    record = {
        "size": "small", "works": {"ok": True, "size": "small"}, "counts": [{"ok": True}],
        "parity": {"kind": "module", "ok": True}, "effect": {"verdict": "shown", "proxy": True},
    }  # fmt: skip
    (tmp_path / "results" / "dit.json").write_text(json.dumps(record))
    row = rows(capsys)["dit"]
    assert [row[m] for m in ("works", "counts", "parity", "effect")] == ["yes", "yes", "module", "shown (proxy)"]
    record["counts"][0]["ok"] = record["parity"]["ok"] = False
    (tmp_path / "results" / "dit.json").write_text(json.dumps(record))
    row = rows(capsys)["dit"]
    assert (row["counts"], row["parity"]) == ("no", "not measured")


def test_the_table_names_every_recipe(capsys):
    assert frisket("papers") == 0
    said = capsys.readouterr().out
    assert all(name in said for name in recipe_names())
