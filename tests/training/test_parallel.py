import json
import signal

import pytest
import torch
from torch import nn
from training_toys import Denoise, Points, files, launch, trainer

from frisket.core.errors import FrisketError
from frisket.core.files import load_tensors
from frisket.training import latest
from frisket.training.optimisers import Adan, Muon
from frisket.training.parallel import Layout, blocks, device_of
from frisket.training.trainer import Watching


def losses(run):
    return [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def near(run, other, steps):
    """Equal losses at every step and equal checkpoints, to 1e-5."""
    assert len(losses(run)) == len(losses(other)) == steps
    for a, b in zip(losses(run), losses(other), strict=True):
        assert a == pytest.approx(b, rel=1e-5)
    a, b = (load_tensors(latest(r) / "training.safetensors") for r in (run, other))
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_equal_one_and_save_what_one_loads(tmp_path, parallel):
    """The same losses, weights, averages and moments; then one process goes on from the checkpoint of two."""
    watching = Watching(every=1, previews=3, count=4)
    config = trainer(6, accumulate=2, watching=watching, layout=Layout(parallel=parallel))
    codes, said = launch(config, tmp_path / "two", processes=2)
    assert codes == [0, 0], said
    trainer(6, watching=watching).fit(Denoise(), Points(), tmp_path / "one")
    near(tmp_path / "two", tmp_path / "one", 6)
    assert len(list((tmp_path / "two" / "previews").iterdir())) == 2
    trainer(12).fit(Denoise(), Points(), tmp_path / "two")
    trainer(12).fit(Denoise(), Points(), tmp_path / "one")
    near(tmp_path / "two", tmp_path / "one", 12)


@pytest.mark.parametrize("optimiser", [Adan(lr=0.02), Muon(lr=0.02)], ids=["adan", "muon"])
def test_one_process_saves_what_two_shards_continue(tmp_path, optimiser):
    config = trainer(4, optimiser=optimiser, layout=Layout(parallel="fsdp"))
    for run in ("two", "one"):
        config.fit(Denoise(), Points(), tmp_path / run)
    config = trainer(9, optimiser=optimiser, layout=Layout(parallel="fsdp", recompute=True))
    codes, said = launch(config, tmp_path / "two", processes=2)
    assert codes == [0, 0], said
    config.fit(Denoise(), Points(), tmp_path / "one")
    near(tmp_path / "two", tmp_path / "one", 9)


def test_a_signal_to_one_process_stops_all_at_the_same_step(tmp_path):
    codes, said = launch(trainer(), tmp_path / "run", "term", 6, processes=2)
    assert codes == [0, 0], said
    assert latest(tmp_path / "run").name == "step-00000007"


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_a_lost_process_stops_the_others_with_one_clear_line(tmp_path, parallel):
    codes, said = launch(trainer(layout=Layout(parallel=parallel)), tmp_path / "run", "lose", 6, processes=2)
    assert codes == [2, -signal.SIGKILL], said
    assert "FrisketError: rank 0 of 2: another process was lost after step" in said
    assert str(tmp_path / "run" / "step-00000005") in said
    assert latest(tmp_path / "run").name == "step-00000005"


def test_several_processes_without_a_layout_are_refused(tmp_path):
    codes, said = launch(trainer(layout=Layout(parallel="none")), tmp_path / "run", processes=2)
    assert codes == [2, 2]
    assert "2 processes were started but parallel = 'none'" in said


def test_a_batch_that_does_not_divide_is_refused(tmp_path):
    codes, said = launch(trainer(batch=7), tmp_path / "run", processes=2)
    assert codes == [2, 2]
    assert "trainer.batch = 7" in said


def test_compilation_keeps_parameter_names(tmp_path):
    """The compiled forward itself needs a compiler; in-place compilation must not rename anything."""
    task = Denoise()
    before = [n for n, _ in task.named_parameters()]
    for unit in blocks(task, task.trains()):
        unit.compile(backend="eager")
    assert [n for n, _ in task.named_parameters()] == before
    trainer(3).fit(task, Points(), tmp_path / "compiled")
    trainer(3).fit(Denoise(), Points(), tmp_path / "plain")
    assert files(tmp_path / "compiled" / "step-00000003") == files(tmp_path / "plain" / "step-00000003")


def test_blocks_are_the_members_of_the_outermost_lists():
    model = nn.Module()
    model.blocks = nn.ModuleList([nn.Linear(2, 2), nn.ModuleList([nn.Linear(2, 2)])])
    model.head = nn.Sequential(nn.Linear(2, 2))
    assert blocks(model, {"model": model}) == list(model.blocks)
    assert blocks(model.head, {"head": model.head}) == [model.head]


def test_layouts_refuse_what_does_not_exist():
    with pytest.raises(FrisketError, match="parallel = 'tensor'"):
        Layout(parallel="tensor")
    with pytest.raises(FrisketError, match="precision = 'fp8'"):
        Layout(precision="fp8")
    with pytest.raises(FrisketError, match="use precision = 'bf16'"):
        Layout(parallel="fsdp", precision="fp16")
    if not torch.cuda.is_available():
        with pytest.raises(FrisketError, match="device = 'cuda:0' is not available"):
            device_of("cuda")
