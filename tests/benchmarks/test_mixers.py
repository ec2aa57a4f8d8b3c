"""The script runs, counts and fits; how long anything takes is not asked."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.mixers import ARMS, exponent, main, most_bytes, operations


def test_writes_every_arm_at_every_size_and_how_it_grows(tmp_path):
    out = tmp_path / "out.json"
    main(["--quick", "--threads", "1", "--out", str(out)])
    result = json.loads(out.read_text())
    assert {(row["arm"], row["tokens"]) for row in result["rows"]} == {(a, n) for a in ARMS for n in (64, 256)}
    assert result["difference_of_the_scans"] < 1e-5
    grows = {(e["arm"], e["cost"]): e["all"] for e in result["exponents"]}
    for arm in ("two-way scan", "two-way scan, sequential", "one-way scan"):
        assert grows[arm, "macs"] == pytest.approx(1.0, abs=0.01)
    assert 1.2 < grows["attention", "macs"] < 2.0
    assert all(row["both"]["bytes"] > row["forward"]["bytes"] > 0 for row in result["rows"])


def test_operations_of_attention_and_of_scans():
    d, n = 64, 256
    assert operations("attention", 16) == 4 * n * d**2 + 2 * n**2 * d
    assert operations("two-way scan", 16) == operations("two-way scan, sequential", 16)


def test_exponents_of_known_powers():
    assert exponent([10, 100, 1000], [3e2, 3e4, 3e6]) == pytest.approx(2.0)
    assert exponent([2, 8], [5.0, 5.0]) == pytest.approx(0.0)


def test_memory_is_the_most_at_once():
    import torch

    def two():
        for _ in range(3):
            a = torch.ones(1000, 1000)
            del a

    assert 3.9e6 < most_bytes(two) < 5e6
