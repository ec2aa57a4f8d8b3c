from dataclasses import replace

import pytest
import torch

from frisket.codecs.pixels import Pixels
from frisket.codecs.vq import VQ
from frisket.core import FrisketError, from_config, to_config
from frisket.core.step import Step
from frisket.data.base import Info
from frisket.data.digits import Digits
from frisket.experiments.experiment import Experiment, train_flops
from frisket.experiments.system import train
from frisket.sampling.pipeline import Pipeline
from frisket.tasks.codec import Codec, usage
from frisket.training.optimisers import AdamW
from frisket.training.trainer import Saving, Trainer

INFO = Info(kind="image", shape=(1, 8, 8))
SMALL = VQ(channels=1, width=8, codes=8, dim=4, groups=4)


def task(config=None):
    pipeline = Pipeline(torch.nn.Identity(), None, SMALL, None, INFO)
    return (config or Codec()).build(pipeline)


def at(index=0):
    return Step(seed=0, sample=torch.arange(4), index=index)


def batch(seed=0):
    return {"x": torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(seed))}


def test_the_terms_are_those_of_the_codec_by_hand():
    made, x = task(Codec(commitment=0.5, squared=0.25)), batch()["x"]
    terms = made(batch(), at())
    found = made.codec.quantise(made.codec.features(x))
    gap = made.codec.decode_codes(found.z) - x
    torch.testing.assert_close(terms["reconstruct"], 0.25 * gap.square().mean() + 0.75 * gap.abs().mean())
    torch.testing.assert_close(terms["commit"], 0.5 * (found.raw - found.z).square().mean())
    assert set(made.trains()) == {"codec"}


def test_the_codebook_follows_after_the_step_and_only_then():
    made = task(Codec(decay=0.5, least=0.0))
    before = made.codec.codebook.clone()
    made(batch(), at())
    assert torch.equal(made.codec.codebook, before)
    found = made.codec.quantise(made.codec.features(batch()["x"]))
    made.after_step(at())
    code = int(found.ids[0, 0, 0])
    cells = found.raw.movedim(1, -1)[found.ids == code]
    wanted = (0.5 * before[code] + 0.5 * cells.sum(0)) / (0.5 + 0.5 * len(cells))
    torch.testing.assert_close(made.codec.codebook[code], wanted)
    unused = [k for k in range(8) if not bool((found.ids == k).any())]
    torch.testing.assert_close(made.codec.codebook[unused], before[unused])
    made.after_step(at(1))
    torch.testing.assert_close(made.codec.codebook[code], wanted)


def test_micro_batches_move_the_codebook_as_the_whole():
    one, two = task(), task()
    one(batch(), at())
    for rows in (slice(0, 1), slice(1, 4)):
        two({"x": batch()["x"][rows]}, at())
    one.after_step(at())
    two.after_step(at())
    torch.testing.assert_close(one.codec.codebook, two.codec.codebook)
    one.eval()
    one(batch(), at())
    assert not one.seen, "evaluation leaves nothing behind"


def test_a_codec_trains_is_saved_resumes_and_serves_as_a_need(tmp_path):
    experiment = Experiment(
        name="vq", data=Digits(), codec=SMALL, task=Codec(),
        training=Trainer(batch=16, steps=24, optimiser=AdamW(lr=3e-3), saving=Saving(every=12)),
    )  # fmt: skip
    assert from_config(to_config(experiment)) == experiment
    x = Digits().open("test").batch(torch.arange(32))["x"]
    straight = train(experiment, tmp_path / "straight", quiet=True)
    fresh = SMALL.build()
    gaps = [float((c.decode(c.encode(x)) - x).detach().abs().mean()) for c in (straight.coder, fresh)]
    assert gaps[0] < 0.8 * gaps[1]
    train(replace(experiment), tmp_path / "halves", quiet=True, max_time=0)
    halves = train(experiment, tmp_path / "halves", quiet=True)
    assert torch.equal(halves.coder.codebook, straight.coder.codebook)
    loaded = Pipeline.from_pretrained(tmp_path / "straight" / "model")
    assert torch.equal(loaded.coder.encode(x), straight.coder.encode(x))
    other = train(experiment, tmp_path / "other", seed=1, quiet=True)
    assert not torch.equal(other.coder.encode(x), straight.coder.encode(x))


def test_usage_of_codes():
    assert usage(torch.tensor([0, 1, 2, 3]), 4) == (1.0, pytest.approx(4.0))
    assert usage(torch.zeros(5, dtype=torch.int64), 4) == (0.25, pytest.approx(1.0))


def test_what_it_cannot_train():
    with pytest.raises(FrisketError, match=r"trains codec/vq, not Pixels"):
        Codec().build(Pipeline(torch.nn.Identity(), None, Pixels(), None, INFO))
    for fields in ({"commitment": -1.0}, {"squared": 2.0}, {"decay": 1.0}, {"least": -1.0}):
        with pytest.raises(FrisketError, match=f"task.{next(iter(fields))}"):
            Codec(**fields)


def test_a_step_costs_three_passes_through_the_codec():
    bare = VQ(channels=1, width=8, codes=8, dim=4, groups=4, multipliers=(1,), blocks=0)
    own = Experiment(name="c", data=Digits(), codec=bare, task=Codec(), training=Trainer(batch=2, steps=5))
    encode, decode = 8 * 9 + 8 * 4, 4 * 8 * 9 + 8 * 9  # a cell: 3 x 3 then 1 x 1 there, 3 x 3 twice back
    assert train_flops(own) == 2 * 3 * (encode + decode) * 64 * 2 * 5
