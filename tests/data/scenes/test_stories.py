"""Stories are the shots of `story` and `medley`, and say what they show."""

from __future__ import annotations

import pytest
import torch

from frisket.core import FrisketError
from frisket.data.scenes.clips import render_clip
from frisket.data.scenes.draw import Dial
from frisket.data.scenes.stories import KEPT, SAID, NewCharacters, OneCharacter, Stories, captions, tale
from frisket.data.scenes.story import medley, parse_shot, story
from frisket.testing.data import check_data

SMALL = Stories(size=(12, 12), frames=2)


def test_the_promises_of_data_are_kept():
    check_data(SMALL, n=4, splits=8)


@pytest.mark.parametrize(("cast", "tell"), [(OneCharacter(), story), (NewCharacters(), medley)])
@pytest.mark.parametrize("split", ["train", "test"])
def test_they_are_the_shots_told_one_by_one(cast, tell, split):
    batch = Stories(size=(12, 12), frames=3, stride=0.06, seed=5, cast=cast).open(split).batch(torch.tensor([7, 2]))
    for i, index in enumerate((7, 2)):
        shots = tell(5, index, split)
        film = torch.cat([render_clip(shot.clip(3, 0.06), (12, 12)) for shot in shots], 1)
        assert torch.equal(batch["x"][i], film)
        assert captions(batch)[i] == tuple(shot.caption for shot in shots)
        assert batch["caption"][i] == tale([shot.caption for shot in shots])


def test_words_are_those_of_the_captions():
    batch = SMALL.open("test").batch(torch.arange(6))
    for i, row in enumerate(captions(batch)):
        for j, caption in enumerate(row):
            said = parse_shot(caption)
            for name, word in (("size", said.size), ("direction", said.direction), ("light", said.light)):
                assert SAID[name][int(batch[name][i, j])] == word


def test_one_character_stays_and_new_ones_do_not():
    ids = torch.arange(40)
    same = SMALL.open("train").batch(ids)
    new = Stories(size=(12, 12), frames=2, cast=NewCharacters()).open("train").batch(ids)
    for name in ("label", *KEPT):
        assert (same[name] == same[name][:, :1]).all()
        assert (new[name] != new[name][:, :1]).any()


def test_a_longer_story_begins_as_the_shorter():
    ids = torch.arange(3)
    short, long = (Stories(size=(12, 12), frames=2, shots=s).open("test").batch(ids) for s in (2, 4))
    assert torch.equal(long["x"][:, :, :4], short["x"])


def test_a_tale_is_four_words_a_shot():
    assert (
        tale(["large three moves left, dim", "small one moves up, bright"])
        == "large three left dim small one up bright"
    )
    with pytest.raises(FrisketError, match="shot caption"):
        tale(["a large three"])


def test_wrong_settings_are_refused():
    for wrong in ({"shots": 0}, {"frames": 1}, {"size": (0, 4)}, {"dial": Dial(objects=(1, 2))}):
        with pytest.raises(FrisketError):
            Stories(**wrong)
