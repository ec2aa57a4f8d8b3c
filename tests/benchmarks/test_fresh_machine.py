"""The fresh machine's commands see a clone, an empty home and no network for models."""

import json

from benchmarks import fresh_machine


def test_commands_run_in_a_clone_with_an_empty_home_and_their_words_are_kept(tmp_path):
    log, out = tmp_path / "a.log", tmp_path / "a.json"
    asked = ["--command", 'ls; ls "$HOME"; echo offline $HF_HUB_OFFLINE', "--command", "exit 3"]
    found = fresh_machine.main([*asked, "--log", str(log), "--out", str(out)])
    words = log.read_text()
    assert "pyproject.toml" in words
    assert "offline 1" in words
    assert ".venv" not in words
    assert [c["exit_code"] for c in found["commands"]] == [0, 3]
    assert json.loads(out.read_text())["commands"] == found["commands"]
