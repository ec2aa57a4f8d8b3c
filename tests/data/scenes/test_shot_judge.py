"""The reader names what shots show; equal settings train the same reader."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from frisket.core import FrisketError
from frisket.data.scenes.draw import Dial
from frisket.data.scenes.shot_judge import NAMES, ShotJudge, ShotReader, shot_reader
from frisket.data.scenes.stories import Stories

EASY = Stories(size=(8, 8), frames=2, stride=0.15, dial=Dial(objects=(1, 1), kinds=("digit",), textures=("plain",)))


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FRISKET_CACHE", str(tmp_path))


def clips(stories, n):
    batch = stories.open("test").batch(torch.arange(n))
    return batch, batch["x"].unflatten(2, (3, stories.frames)).transpose(1, 2).flatten(0, 1)


def test_a_short_training_reads_far_above_chance_and_comes_back_from_the_cache(tmp_path):
    reader = ShotJudge(stories=EASY, steps=40).build()
    batch, shown = clips(EASY, 40)
    found = reader.probabilities(shown)
    assert set(found) == set(NAMES)
    for name in ("light", "ground"):
        right = (found[name].argmax(-1) == batch[name].flatten()).float().mean()
        assert right > 1.5 / len(NAMES[name])
    assert len(list(tmp_path.glob("judge-shots-*.npz"))) == 1
    again = ShotJudge(stories=EASY, steps=40).build()
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in reader.state_dict().items())


def test_weights_begin_the_same_and_gradients_reach_every_name():
    one, two = ShotReader(EASY), ShotReader(EASY)
    assert all(torch.equal(v, two.state_dict()[k]) for k, v in one.state_dict().items())
    _, shown = clips(EASY, 2)
    sum(v.square().sum() for v in one(shown).values()).backward()
    assert all(p.grad.abs().sum() > 0 for p in one.parameters())


def test_neither_seed_nor_cast_nor_length_make_another_reader(monkeypatch):
    built = []
    monkeypatch.setattr(ShotJudge, "build", lambda self: built.append(self) or ShotReader(self.stories))
    shot_reader.cache_clear()
    for stories in (EASY, replace(EASY, seed=3), replace(EASY, shots=5)):
        shot_reader(stories)
    shot_reader.cache_clear()
    assert built[0] == built[1] == built[2]


def test_other_frames_and_no_steps_are_refused():
    with pytest.raises(FrisketError, match="frames of a shot"):
        ShotReader(EASY)(torch.zeros(1, 3, 3, 8, 8))
    with pytest.raises(FrisketError, match="judge.steps"):
        ShotJudge(steps=0)
