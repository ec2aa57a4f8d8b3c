"""`frisket doctor`."""

from __future__ import annotations

import json

import frisket as package
from frisket.cli import doctor_verb
from run_folders import frisket


def test_it_names_versions_devices_and_extras(capsys):
    assert frisket("doctor") == 0
    said = capsys.readouterr().out
    assert f"frisket {package.__version__}" in said
    assert "devices: " in said
    assert all(f"extra {name}: " in said for name in doctor_verb.EXTRAS)


def test_it_prints_json(capsys):
    assert frisket("doctor", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["core"]["torch"]
    assert found["cpu threads"] >= 1


def test_a_missing_library_of_the_core_is_a_failure(monkeypatch, capsys):
    monkeypatch.setattr(doctor_verb, "CORE", ("torch", "no-such-library"))
    monkeypatch.setattr(doctor_verb, "EXTRAS", {"data": ("no-such-library",)})
    assert frisket("doctor") == 1
    said = capsys.readouterr().out
    assert "no-such-library MISSING" in said
    assert "pip install 'frisket[data]'" in said
