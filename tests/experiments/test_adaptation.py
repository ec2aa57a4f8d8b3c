"""Adapting a checkpoint: what comes out is plain, loads, and does what the adapted model did."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from frisket.adapters.freeze import Freeze
from frisket.adapters.lora import Adapted, Lora
from frisket.adapters.lora_files import load_lora
from frisket.core.errors import FrisketError
from frisket.data.digits import Digits
from frisket.data.figures.source import Figures
from frisket.evaluation.swaps import filled
from frisket.experiments.adaptation import Adaptation, Phase, adapt, short
from frisket.experiments.system import build, load
from frisket.recipes import dit, mc_vton
from frisket.testing import check_config


def checkpoint(experiment, place):
    _, pipeline, _ = build(replace(experiment, study=None).fit())
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in pipeline.model.parameters():
            if p.requires_grad:
                p.normal_(0.0, 0.2, generator=g)
    return pipeline.save_pretrained(place)


def few(adaptation, steps=3):
    phases = (replace(p, training=replace(short(steps), batch=4)) for p in adaptation.phases)
    return replace(adaptation, phases=tuple(phases))


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return checkpoint(dit.experiment("tiny"), tmp_path_factory.mktemp("digits") / "model")


def test_config():
    check_config(Adaptation())
    check_config(mc_vton.ADAPTATION)


def test_lora_gives_a_plain_model_and_an_adapter_alone(digits, tmp_path):
    out = adapt(digits, few(Adaptation()), Digits(), tmp_path / "out")
    plain, run, base = load(tmp_path / "out"), load(tmp_path / "out" / "lora"), load(digits)
    assert tuple(getattr(plain.model, "edits", ())) == ()
    assert plain.model.state_dict().keys() == base.model.state_dict().keys()
    assert not any(isinstance(m, Adapted) for m in plain.model.modules())
    ways = {"label": [0, 1]}
    assert torch.equal(plain.sample(2, **ways), out.sample(2, **ways))
    assert torch.allclose(plain.sample(2, **ways), run.sample(2, **ways), atol=1e-4)
    held = base.model.state_dict()
    changed = {n for n, v in plain.model.state_dict().items() if not torch.equal(v, held[n])}
    assert changed
    assert all(n.startswith("blocks.") and n.endswith(".weight") and ".modulation." not in n for n in changed)
    again = load_lora(base.model, tmp_path / "out" / "adapter-default")
    assert torch.equal(again.state_dict()["blocks.0.branches.attn.mixer.qkv.weight"],
                       held["blocks.0.branches.attn.mixer.qkv.weight"])  # fmt: skip
    base.model = again
    assert torch.allclose(base.sample(2, **ways), run.sample(2, **ways), atol=1e-5)


def test_the_same_command_goes_on_and_another_is_refused(digits, tmp_path):
    first = adapt(digits, few(Adaptation()), Digits(), tmp_path / "out")
    again = adapt(digits, few(Adaptation()), Digits(), tmp_path / "out")
    assert all(torch.equal(v, first.model.state_dict()[k]) for k, v in again.model.state_dict().items())
    other = few(Adaptation(phases=(Phase(edits=(Lora(rank=2), Freeze())),)))
    with pytest.raises(FrisketError, match=r"another edits\.0\.rank"):
        adapt(digits, other, Digits(), tmp_path / "out")


def test_any_checkpoint_of_figures_learns_to_dress(tmp_path):
    bare = replace(mc_vton.base("tiny"), model=replace(mc_vton.base("tiny").model, doors=()))
    source = checkpoint(bare, tmp_path / "model")
    adaptation = few(mc_vton.ADAPTATION, steps=2)
    adapt(source, adaptation, Figures(), tmp_path / "out")
    plain = load(tmp_path / "out")
    assert plain.sampler.steps == 8
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "dress", "fewer-steps", "adapter-control", "adapter-steps", "model",
    }  # fmt: skip
    assert not any(isinstance(m, Adapted) for m in plain.model.modules())
    batch = Figures().open("test").batch(torch.arange(2))
    made = filled(plain, batch)
    assert torch.allclose(made, filled(load(tmp_path / "out" / "fewer-steps"), batch), atol=1e-4)
    assert torch.equal(made.masked_fill(batch["region"], 0), batch["x"].masked_fill(batch["region"], 0))
    first, second = (load(tmp_path / "out" / name).model.state_dict() for name in ("dress", "fewer-steps"))
    assert all(torch.equal(v, second[n]) for n, v in first.items())


def test_refusals(digits, tmp_path):
    with pytest.raises(FrisketError, match="data = 'image of shape"):
        adapt(digits, few(Adaptation()), Figures(), tmp_path / "out")
    with pytest.raises(FrisketError, match=r"adaptation\.phases"):
        Adaptation(phases=(Phase(), Phase()))
    with pytest.raises(FrisketError, match=r"adaptation\.phases"):
        Adaptation(phases=(Phase(name="model"),))
    with pytest.raises(FrisketError, match=r"phase\.name"):
        Phase(name="a/b")
