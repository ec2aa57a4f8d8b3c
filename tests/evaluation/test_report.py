import json

import pytest
import torch

from frisket.core import FrisketError
from frisket.core.files import read_json
from frisket.evaluation import report as module
from frisket.evaluation.plots import Figure, image_table
from frisket.evaluation.report import Report, Section, Table, library_versions, write_report

REPORT = Report(
    title="A run", summary="of something", seed=3, config={"steps": 5}, command="frisket run x",
    versions=library_versions(), timings={"training": 1.5}, citations=["@misc{a}"], results={"loss": 0.25},
    sections=[
        Section(title="Samples", figures=(image_table([("zero", [torch.rand(1, 8, 8)])], caption="digits"),)),
        Section(title="Numbers", table=Table(columns=("a", "b"), rows=(("1", "2"),), note="n"), samples=(("p", "text"),)),
    ],
)  # fmt: skip


def test_page_and_json_tell_the_same(tmp_path):
    path = write_report(tmp_path / "run", REPORT)
    text, data = path.read_text(), read_json(tmp_path / "run" / "report.json")
    for word in ("A run", "of something", "Samples", "Numbers", "frisket run x", "digits", "@misc{a}"):
        assert word in text
        assert word in json.dumps(data)
    assert data["results"] == {"loss": 0.25}
    assert data["sections"][1]["table"] == {"columns": ["a", "b"], "rows": [["1", "2"]], "note": "n"}
    assert data["sections"][1]["samples"] == [["p", "text"]]
    assert sorted(p.name for p in path.parent.iterdir()) == ["report.html", "report.json"]
    assert write_report(tmp_path / "run", REPORT).read_text() == text


def test_large_pages_are_reported(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 10)
    write_report(tmp_path, Report(title="t", sections=[Section(title="s", figures=(Figure(markup="x" * 100),))]))
    assert "MB" in caplog.text


def test_tables_must_be_rectangular():
    with pytest.raises(FrisketError, match="2 cells"):
        Table(columns=("a", "b"), rows=(("1",),))
    with pytest.raises(FrisketError, match="marks"):
        Table(columns=("a",), rows=(("1",),), marks=("x", "y"))


def test_versions_name_what_is_missing():
    found = library_versions("torch", "no-such-library-anywhere")
    assert found["torch"] == torch.__version__
    assert found["no-such-library-anywhere"] == "not installed"
    assert "python" in found
