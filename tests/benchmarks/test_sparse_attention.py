"""The script runs and its errors say what they should; how long anything takes is not asked."""

import json
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.sparse_attention import SHARES, SIZES, error, inputs, main


def test_writes_a_row_for_every_arm_and_share(tmp_path):
    out = tmp_path / "out.json"
    main(["--quick", "--threads", "1", "--tokens", "1024", "--out", str(out)])
    (size,) = json.loads(out.read_text())["sizes"]
    rows = {row["arm"]: row for row in size["rows"]}
    assert len(rows) == 1 + 2 * len(SHARES)
    for name in ("tiles", "gathered"):
        assert rows[f"{name}, 1 alive"]["error"] < 1e-5
        chosen = [rows[f"{name}, {share:g} alive"] for share in SHARES[1:]]
        assert all(row["error"] < row["error_random_tiles"] for row in chosen[:2])
        assert [row["error"] for row in chosen] == sorted(row["error"] for row in chosen)


def test_inputs_are_fixed_and_of_every_size():
    for n in SIZES:
        if n <= 4096:
            q, k, v = inputs(n)
            assert q.shape == k.shape == v.shape == (1, 2, n, 64)
    assert all(map(torch.equal, inputs(1024), inputs(1024)))
    assert error(v, v) == 0.0
