import json
import signal
from dataclasses import replace

import pytest
import torch
from training_toys import Counting, Denoise, Points, files, launch, trainer

from frisket.core.config import from_config, to_config
from frisket.core.errors import FrisketError
from frisket.core.files import load_tensors
from frisket.training import latest
from frisket.training.guard import Diverged
from frisket.training.optimisers import AdamW, Adan
from frisket.training.parallel import Layout
from frisket.training.trainer import Saving, Watching


def records(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_training_lowers_the_loss(tmp_path):
    trainer(60).fit(Denoise(), Points(), tmp_path)
    losses = [r["loss"] for r in records(tmp_path)]
    assert sum(losses[-10:]) < 0.6 * sum(losses[:10])


@pytest.mark.parametrize("accumulate", [2, 3, 8])
def test_accumulation_equals_one_big_batch(tmp_path, accumulate):
    """Also with micro-batches of unequal size (8 rows in 3 pieces)."""
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    trainer().fit(Denoise(), Points(), whole)
    trainer(accumulate=accumulate).fit(Denoise(), Points(), pieces)
    for a, b in zip(records(whole), records(pieces), strict=True):
        assert a.keys() == b.keys()
        for name in a:
            assert a[name] == pytest.approx(b[name], rel=1e-5)
    a, b = (load_tensors(latest(run) / "model.safetensors") for run in (whole, pieces))
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("stops", [(7,), (3, 8)])
def test_resuming_equals_a_straight_run_bit_for_bit(tmp_path, stops):
    """Once and twice, with layer dropout, at steps that end neither an interval of records nor an epoch."""
    config = trainer(12, watching=Watching(every=4))
    config.fit(Denoise(dropout=0.3), Points(), tmp_path / "straight")
    for stop in stops:
        cut_short(config, stop, tmp_path / "resumed")
    result = config.fit(Denoise(dropout=0.3), Points(), tmp_path / "resumed")
    assert result.step == 12
    assert files(tmp_path / "straight" / "step-00000012") == files(tmp_path / "resumed" / "step-00000012")


def cut_short(config, stop, run):
    """Train until after step `stop` as a SIGTERM there would."""
    task = Denoise(dropout=0.3)
    task.after_step = lambda step: signal.raise_signal(signal.SIGTERM) if step.index == stop - 1 else None
    with pytest.raises(SystemExit) as leaving:
        config.fit(task, Points(), run)
    assert leaving.value.code == 0
    assert latest(run).name == f"step-{stop:08d}"


def test_a_stream_resumes_exactly(tmp_path):
    config = trainer(10)
    config.fit(Denoise(), Counting(), tmp_path / "straight")
    replace(config, steps=6).fit(Denoise(), Counting(), tmp_path / "resumed")
    task = Denoise()
    config.fit(task, Counting(), tmp_path / "resumed")
    assert task.seen == list(range(48, 80))
    assert files(tmp_path / "straight" / "step-00000010") == files(tmp_path / "resumed" / "step-00000010")


@pytest.mark.parametrize("at", [2, 4, 8])
def test_sigkill_at_any_step_leaves_a_run_that_continues_exactly(tmp_path, at):
    """Before the first checkpoint, just before one is written, and between two."""
    codes, _ = launch(trainer(), tmp_path / "killed", "kill", at)
    assert codes == [-signal.SIGKILL]
    trainer().fit(Denoise(), Points(), tmp_path / "killed")
    trainer().fit(Denoise(), Points(), tmp_path / "straight")
    assert files(tmp_path / "straight" / "step-00000012") == files(tmp_path / "killed" / "step-00000012")
    assert [r["step"] for r in records(tmp_path / "killed")] == list(range(1, 13))


def test_sigterm_saves_and_exits_with_zero(tmp_path):
    codes, said = launch(trainer(), tmp_path / "run", "term", 6)
    assert codes == [0]
    assert latest(tmp_path / "run").name == "step-00000007"
    assert "stopped by SIGTERM at step 7" in said
    assert "the same command continues" in said


def test_interrupt_saves_then_raises_and_restores_the_handlers(tmp_path):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    task = Denoise()
    task.after_step = lambda step: signal.raise_signal(signal.SIGINT) if step.index == 2 else None
    with pytest.raises(KeyboardInterrupt):
        trainer().fit(task, Points(), tmp_path)
    assert latest(tmp_path).name == "step-00000003"
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_max_time_saves_and_stops(tmp_path):
    result = trainer().fit(Denoise(), Points(), tmp_path, max_time=0.0)
    assert (result.step, result.reason) == (1, "max_time")
    assert result.folder == latest(tmp_path)
    assert trainer().fit(Denoise(), Points(), tmp_path).reason == "done"


def test_a_loss_that_is_not_a_number_stops_before_a_checkpoint(tmp_path):
    config = trainer(12, watching=Watching(every=4))
    with pytest.raises(Diverged) as error:
        config.fit(Denoise(poison=6), Points(), tmp_path)
    assert "step 7" in str(error.value)
    assert "samples 48..55" in str(error.value)
    assert str(tmp_path / "step-00000005") in str(error.value)
    assert latest(tmp_path).name == "step-00000005"


def test_a_diverged_first_step_says_that_there_is_no_checkpoint(tmp_path):
    with pytest.raises(Diverged, match="no checkpoint yet"):
        trainer().fit(Denoise(poison=0), Points(), tmp_path)
    assert latest(tmp_path) is None


def test_data_order_does_not_depend_on_batch_or_accumulation(tmp_path):
    seen = []
    for number, (batch, accumulate) in enumerate([(8, 1), (8, 4), (4, 1)]):
        task = Denoise()
        trainer(64 // batch, batch=batch, accumulate=accumulate).fit(task, Points(), tmp_path / str(number))
        seen.append(task.seen)
    assert seen[0] == seen[1] == seen[2]
    assert sorted(seen[0][:37]) == list(range(37))


def test_the_caller_keeps_the_global_generator(tmp_path):
    task = Denoise(dropout=0.5)
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    trainer(2).fit(task, Points(), tmp_path)
    assert torch.equal(torch.rand(4), wanted)


def test_recomputation_changes_nothing(tmp_path):
    trainer().fit(Denoise(), Points(), tmp_path / "plain")
    trainer(layout=Layout(recompute=True)).fit(Denoise(), Points(), tmp_path / "recomputed")
    assert records(tmp_path / "plain") == records(tmp_path / "recomputed")


def test_bfloat16_stays_near_float32(tmp_path):
    trainer().fit(Denoise(), Points(), tmp_path / "fp32")
    trainer(layout=Layout(precision="bf16")).fit(Denoise(), Points(), tmp_path / "bf16")
    a, b = records(tmp_path / "fp32")[-1]["loss"], records(tmp_path / "bf16")[-1]["loss"]
    assert a != b
    assert a == pytest.approx(b, rel=0.05)
    weights = load_tensors(latest(tmp_path / "bf16") / "training.safetensors")
    assert all(v.dtype == torch.float32 for v in weights.values())


def test_float16_scales_the_loss_and_resumes_with_its_scale(tmp_path):
    config = trainer(8, layout=Layout(precision="fp16"))
    config.fit(Denoise(), Points(), tmp_path / "straight")
    replace(config, steps=5).fit(Denoise(), Points(), tmp_path / "resumed")
    config.fit(Denoise(), Points(), tmp_path / "resumed")
    assert files(tmp_path / "straight" / "step-00000008") == files(tmp_path / "resumed" / "step-00000008")


def test_workers_change_nothing(tmp_path):
    config = trainer(6, workers=2)
    config.fit(Denoise(), Points(), tmp_path / "workers")
    replace(config, steps=3).fit(Denoise(), Points(), tmp_path / "resumed")
    config.fit(Denoise(), Points(), tmp_path / "resumed")
    trainer(6).fit(Denoise(), Points(), tmp_path / "none")
    tensors = [files(tmp_path / n / "step-00000006")["training.safetensors"] for n in ("workers", "resumed", "none")]
    assert tensors[0] == tensors[1] == tensors[2]


def test_a_lower_rate_may_be_chosen_on_resuming(tmp_path):
    trainer(2).fit(Denoise(), Points(), tmp_path)
    trainer(3, optimiser=AdamW(lr=1e-5)).fit(Denoise(), Points(), tmp_path)
    assert [r["lr"] for r in records(tmp_path)] == [0.02, 0.02, 1e-5]


@pytest.mark.parametrize("field", ["batch", "seed", "emas", "optimiser"])
def test_a_run_continues_only_as_it_began(tmp_path, field):
    trainer(2).fit(Denoise(), Points(), tmp_path)
    other = trainer(4, **{field: {"batch": 4, "seed": 1, "emas": (), "optimiser": Adan()}[field]})
    with pytest.raises(FrisketError, match=f"trainer.{field} was"):
        other.fit(Denoise(), Points(), tmp_path)


def test_another_model_or_other_data_is_refused(tmp_path):
    trainer(2).fit(Denoise(), Points(), tmp_path)
    with pytest.raises(FrisketError, match="another model"):
        trainer(4).fit(Denoise(depth=3), Points(), tmp_path)
    with pytest.raises(FrisketError, match="other data"):
        trainer(4).fit(Denoise(), Counting(), tmp_path)


def test_resume_never_refuses_a_used_folder_and_a_path_is_followed(tmp_path):
    trainer(10).fit(Denoise(), Points(), tmp_path / "a")
    with pytest.raises(FrisketError, match="step-00000010"):
        trainer().fit(Denoise(), Points(), tmp_path / "a", resume="never")
    result = trainer(10).fit(Denoise(), Points(), tmp_path / "b", resume=str(tmp_path / "a" / "step-00000005"))
    assert files(result.folder)["model.safetensors"] == files(tmp_path / "a" / "step-00000010")["model.safetensors"]
    with pytest.raises(FrisketError, match="resume = 'yes'"):
        trainer().fit(Denoise(), Points(), tmp_path, resume="yes")


def test_previews_use_the_average_and_leave_the_weights(tmp_path):
    watching = Watching(every=1, previews=3, count=4)
    trainer(6, watching=watching).fit(Denoise(), Points(), tmp_path / "seen")
    trainer(6).fit(Denoise(), Points(), tmp_path / "unseen")
    assert sorted(p.name for p in (tmp_path / "seen" / "previews").iterdir()) == [
        "step-00000003.png", "step-00000006.png",
    ]  # fmt: skip
    a, b = (files(tmp_path / n / "step-00000006")["training.safetensors"] for n in ("seen", "unseen"))
    assert a == b


def test_a_finished_run_is_left_as_it_is(tmp_path):
    trainer(5).fit(Denoise(), Points(), tmp_path)
    before = files(tmp_path / "step-00000005")
    result = trainer(5).fit(Denoise(), Points(), tmp_path)
    assert (result.step, result.reason) == (5, "done")
    assert files(tmp_path / "step-00000005") == before


def test_the_config_is_saved_and_comes_back(tmp_path):
    config = trainer(3, saving=Saving(every=2, mark=4))
    assert from_config(to_config(config)) == config
    config.fit(Denoise(), Points(), tmp_path)
    assert from_config(json.loads((tmp_path / "trainer.json").read_text())) == config


@pytest.mark.parametrize(
    "changes",
    [{"batch": 0}, {"steps": 0}, {"accumulate": 9}, {"clip": -1.0}, {"workers": -1}],
)
def test_bad_numbers_are_refused_by_name(changes):
    with pytest.raises(FrisketError, match=f"trainer.{next(iter(changes))}"):
        trainer(**changes)
