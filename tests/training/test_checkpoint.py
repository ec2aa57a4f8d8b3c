import json
import pickle

import pytest
import torch
from torch import nn
from training_toys import Denoise, Points, trainer

from frisket.core.errors import FrisketError
from frisket.core.files import load_tensors
from frisket.training import checkpoint
from frisket.training.trainer import Saving


def nothing(folder):
    """A task without a model of its own."""


def state(step):
    """A state that says no more than it must."""
    plain = {name: {} for name, kind in checkpoint.STATE.items() if kind not in (int, str)}
    return {**plain, "step": step, "samples": step, "data": ""}


def put(run, *steps):
    for step in steps:
        checkpoint.write(run, state(step), {"x": torch.ones(1)}, nothing)


def steps(run):
    return [int(p.name.split("-")[1]) for p in checkpoint.found(run)]


def test_rotation_keeps_the_last_and_the_marked(tmp_path):
    put(tmp_path, *range(1, 11))
    checkpoint.rotate(tmp_path, keep=2, every=4)
    assert steps(tmp_path) == [4, 8, 9, 10]
    checkpoint.rotate(tmp_path, keep=1, every=0)
    assert steps(tmp_path) == [10]
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000010"]


def test_the_trainer_rotates(tmp_path):
    trainer(12, saving=Saving(every=2, keep=2, mark=4)).fit(Denoise(), Points(), tmp_path)
    assert steps(tmp_path) == [4, 8, 10, 12]


def test_steps_beyond_eight_digits_stay_in_order(tmp_path):
    put(tmp_path, 99_999_999, 100_000_000)
    assert checkpoint.latest(tmp_path).name == "step-100000000"


def test_incomplete_folders_are_not_found(tmp_path):
    put(tmp_path, 3)
    (tmp_path / "step-00000009").mkdir()
    (tmp_path / ".step-00000010.77.tmp").mkdir()
    (tmp_path / "step-00000011").write_text("a file")
    assert steps(tmp_path) == [3]
    assert checkpoint.latest(tmp_path / "absent") is None
    (tmp_path / ".metrics.jsonl.77.tmp").write_text("half")
    (tmp_path / ".step-00000002.old").mkdir()
    (tmp_path / ".theirs.tmp").write_text("not ours")
    checkpoint.sweep(tmp_path)
    assert {p.name for p in tmp_path.glob(".*")} == {".theirs.tmp"}


def test_a_crash_while_writing_leaves_the_last_checkpoint_alone(tmp_path, monkeypatch):
    put(tmp_path, 1)

    def crash(folder):
        (folder / "model.safetensors").write_bytes(b"half")
        raise RuntimeError("crash")

    for step in (1, 2):
        with pytest.raises(RuntimeError, match="crash"):
            checkpoint.write(tmp_path, {"step": step}, {"x": torch.zeros(1)}, crash)
    assert steps(tmp_path) == [1]
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000001"]
    assert checkpoint.read(checkpoint.latest(tmp_path))[1]["x"].item() == 1.0


def test_a_full_disk_is_one_clear_line(tmp_path):
    def full(folder):
        raise OSError(28, "No space left on device")

    with pytest.raises(FrisketError, match=r"step-00000001 could not be written.*No space left"):
        checkpoint.write(tmp_path, {"step": 1}, {}, full)
    assert checkpoint.latest(tmp_path) is None


@pytest.mark.parametrize("name", ["training.safetensors", "state.json"])
def test_truncated_files_are_named_and_nothing_is_replaced_in_silence(tmp_path, name):
    trainer(10).fit(Denoise(), Points(), tmp_path)
    file = tmp_path / "step-00000010" / name
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(FrisketError, match=f"step-00000010/{name}"):
        trainer(12).fit(Denoise(), Points(), tmp_path)


class Evil:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was run",))


def test_a_pickle_is_refused_and_never_run(tmp_path):
    put(tmp_path, 1)
    file = tmp_path / "step-00000001" / "training.safetensors"
    file.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(FrisketError, match="pickles are never loaded"):
        checkpoint.read(file.parent)


def test_another_format_is_refused(tmp_path):
    put(tmp_path, 1)
    (tmp_path / "step-00000001" / "state.json").write_text('{"format": 99, "step": 1}')
    with pytest.raises(FrisketError, match="not of format 1"):
        checkpoint.read(tmp_path / "step-00000001")


@pytest.mark.parametrize(
    ("change", "said"),
    [({"step": "3"}, "step in .* = '3'"), ({"loader": []}, "loader"), ({"trainer": None}, "trainer")],
)
def test_a_state_of_other_kinds_is_refused_by_name(tmp_path, change, said):
    put(tmp_path, 1)
    file = tmp_path / "step-00000001" / "state.json"
    file.write_text(json.dumps({"format": 1, **state(1), **change}))
    with pytest.raises(FrisketError, match=said):
        checkpoint.read(file.parent)
    file.write_text('{"format": 1, "step": 1}')
    with pytest.raises(FrisketError, match="lacks 'samples'"):
        checkpoint.read(file.parent)


def test_the_saved_model_holds_the_first_average_and_the_buffers(tmp_path):
    trainer(6).fit(Denoise(), Points(), tmp_path)
    folder = checkpoint.latest(tmp_path)
    model, training = load_tensors(folder / "model.safetensors"), load_tensors(folder / "training.safetensors")
    name = "model.blocks.0.weight"
    assert torch.equal(model[name], training[f"ema/power-0.15/{name}"])
    assert not torch.equal(model[name], training[f"weights/{name}"])
    assert torch.equal(model["model.offset"], training["weights/model.offset"])


def test_fixed_modules_are_not_saved():
    task = Denoise()
    task.codec, task.fixed = nn.Linear(2, 2), ("codec",)
    assert not any("codec" in name for name in checkpoint.weights(task))
    checkpoint.load_weights(task, checkpoint.weights(Denoise()))


def test_optimiser_state_of_unknown_parameters_is_refused():
    p = nn.Parameter(torch.ones(2))
    optimiser = torch.optim.AdamW([p])
    with pytest.raises(FrisketError, match=r"\['gone'\]"):
        checkpoint.load_optimiser_state([optimiser], {id(p): "p"}, {"optimiser/gone/exp_avg": torch.ones(2)}, {})


@pytest.mark.parametrize(("fused", "device"), [(True, "meta"), (False, "cpu")])
def test_a_step_counter_comes_back_to_where_the_optimiser_wants_it(fused, device):
    p = nn.Parameter(torch.ones(2, device="meta"))  # stands for an accelerator
    optimiser = torch.optim.AdamW([p])
    optimiser.param_groups[0]["fused"] = fused
    held = {"optimiser/p/step": torch.tensor(3.0), "optimiser/p/exp_avg": torch.ones(2)}
    checkpoint.load_optimiser_state([optimiser], {id(p): "p"}, held, {})
    assert optimiser.state[p]["step"].device.type == device
    assert optimiser.state[p]["exp_avg"].device.type == "meta"
