"""The benchmarks' arithmetic on made-up times, and that each script runs."""

import json
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.common import PEAK, SIDE, Times, interleaved, machine, peak, ratio, rows_of, table

from benchmarks import memory, sample, train_step


def test_arms_are_called_in_turn_and_warm_rounds_are_not_counted():
    calls = []
    times = interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3, warm=2)
    assert calls == ["a", "b"] * 5
    assert {name: (len(t.wall), len(t.processor)) for name, t in times.items()} == {"a": (3, 3), "b": (3, 3)}


def test_a_ratio_is_taken_round_by_round():
    slow, fast = Times([2.0, 20.0, 6.0], [1.0, 1.0, 1.0]), Times([1.0, 10.0, 2.0], [0.5, 1.0, 0.25])
    found = ratio(slow, fast)
    assert found == {"median": 2.0, "lower": 2.0, "upper": 2.5, "processor": 2.0}
    assert ratio(Times([3.0], [3.0]), Times([1.0], [2.0]))["median"] == 3.0


def test_rows_measure_against_the_base_and_the_reference():
    reference = Times([2 * SIDE**3 / 1e9] * 2, [1.0] * 2)  # 1 Gflop/s
    times = {PEAK: reference, "base": Times([4.0] * 2, [4.0] * 2), "ours": Times([2.0] * 2, [1.0] * 2)}
    assert peak(reference) == pytest.approx(1e9)
    base, ours = rows_of(times, 1e9, "base")
    assert (base["arm"], ours["arm"]) == ("base", "ours")
    assert (base["share_of_peak"], ours["share_of_peak"]) == pytest.approx((0.25, 0.5))
    assert ours["times_as_fast"]["median"] == 2.0
    assert ours["times_as_fast"]["processor"] == 4.0
    lines = table("title", [base, ours]).splitlines()
    assert len(lines) == 4
    assert "50.0%" in lines[-1]


def test_the_machine_is_named():
    found = machine()
    assert found["threads"] == torch.get_num_threads()
    assert found["torch"] == torch.__version__
    json.dumps(found)


def test_growth_leaves_out_what_the_first_batch_needs():
    assert memory.flat([10.0, 14.0, 14.0, 14.5]) == {"growth": 4.5, "growth_second_half": 0.5}
    assert memory.flat([10.0]) == {"growth": 0.0, "growth_second_half": 0.0}


def test_memory_is_compared_above_where_the_work_began():
    plain, saving = {"before": 100.0, "peak": 300.0, "loss": 2.0}, {"before": 110.0, "peak": 160.0, "loss": 1.0}
    found = memory.compare(plain, saving)
    assert found["above_start_mib"] == [200.0, 50.0]
    assert found["share"] == 0.25
    assert found["relative_difference"] == {"loss": 0.5}


def test_a_process_knows_its_highest_memory():
    before = memory.highest()
    held = torch.ones(32, 1 << 20)  # 128 MiB
    assert memory.highest() >= before + held.nbytes / 2**20 / 2
    assert memory.highest() >= memory.resident() - 1


def test_each_script_runs(tmp_path, capsys):
    pytest.importorskip("diffusers")
    quick = ["--quick", "--threads", "1", "--case", "digits"]
    for script, kinds in ((train_step, ("forward", "step")), (sample, ())):
        out = tmp_path / f"{script.__name__}.json"
        script.main([*quick, "--out", str(out)])
        (case,) = json.loads(out.read_text())["cases"]
        assert case["fairness"]["largest_relative_difference"] < 1e-4
        assert case["differences"]
        rows = [row for kind in kinds for row in case[kind]["rows"]] or case["rows"]
        assert all(row["seconds"] > 0 and row["share_of_peak"] > 0 for row in rows)
    out = tmp_path / "memory.json"
    memory.main(["--quick", "--measure", "accumulate", "--out", str(out)])
    found = json.loads(out.read_text())["accumulate"]
    assert all(apart < 1e-5 for apart in found["relative_difference"].values())
    assert "frisket" in capsys.readouterr().out
