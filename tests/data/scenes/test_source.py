import json

import pytest
import torch
from jaxtyping import TypeCheckError

from frisket.core import FrisketError, from_config, override, to_config
from frisket.data import parse_data
from frisket.data.scenes import Clips, Dial, Scenes, parse, render_table
from frisket.data.scenes.arrange import FarHalves
from frisket.data.scenes.buckets import buckets
from frisket.data.scenes.outlines import instances
from frisket.data.scenes.source import SIZE
from frisket.data.scenes.words import caption_text

IDS = torch.tensor([0, 5, 2**31 - 1])
VIEWS = ("semantic", "depth", "palette", "flow", "mask")


def same(a, b, i, j):
    assert a.keys() == b.keys()
    for name, v in a.items():
        assert v[i] == b[name][j] if isinstance(v, list) else torch.equal(v[i], b[name][j]), name


def test_a_batch_holds_what_is_promised():
    source = Scenes(views=VIEWS).open("train")
    b = source.batch(IDS)
    assert b["x"].shape == (3, *source.info.shape) == (3, 3, 32, 32)
    assert b["x"].dtype == torch.float32
    assert 0 <= b["x"].min() <= b["x"].max() <= 1
    assert torch.equal(b["label"], b["labels"][:, 0])
    assert torch.equal(b["id"], IDS)
    assert b["palette"].shape == (3, 8, 8)
    assert b["mask"].dtype == torch.bool
    assert caption_text(b["caption_ids"]) == b["caption"]
    for caption, labels in zip(b["caption"], b["labels"], strict=True):
        assert [source.info.classes.index(o.name) for o in parse(caption).objects] == labels[labels >= 0].tolist()
    assert torch.equal(b["semantic"], render_table(source.table(IDS), (32, 32), ("semantic",))["semantic"])


@pytest.mark.parametrize(
    "config", [Scenes(views=VIEWS), Scenes(aspects=buckets(32, 8), views=("depth", "palette")), Clips(frames=4)]
)
def test_items_do_not_depend_on_the_batch(config):
    source = config.open("test")
    together = source.batch(IDS)
    for i in range(3):
        same(together, source.batch(IDS[i : i + 1]), i, 0)


def test_splits_show_other_digits():
    config = Scenes(dial=Dial(kinds=("digit",), objects=(2, 2)))
    train, test = (config.open(s).table(torch.arange(500)).objects["instance"].unique() for s in ("train", "test"))
    assert not set(train.tolist()) & set(test.tolist())
    assert set(test.tolist()) <= set(torch.cat(instances("test")).tolist())


def test_digests_tell_contents_apart():
    configs = [Scenes(), Scenes(seed=1), Scenes(dial=Dial(palette=3)), Scenes(size=(16, 16))]
    digests = {c.open(split).info.digest for c in configs for split in ("train", "test")}
    assert len(digests) == 8
    assert Scenes().open().info.digest == Scenes().open().info.digest
    assert Scenes().open().info.extra["dial"]["palette"] == 8


def test_mixed_sizes_share_a_canvas():
    source = Scenes(aspects=((24, 40), (40, 24)), views=("semantic",)).open()
    b = source.batch(torch.arange(20))
    assert b["x"].shape == (20, 3, 40, 40)
    assert {tuple(v[0].any(1 - d).sum().item() for d in (0, 1)) for v in b["valid"]} == {(24, 40), (40, 24)}
    assert (b["x"][~b["valid"].expand_as(b["x"])] == 0).all()


def test_far_halves_are_a_set():
    source = override(Scenes(), "arrange", "far_halves").open()
    assert isinstance(source.config.arrange, FarHalves)
    b = source.batch(torch.arange(4))
    assert torch.equal(b["labels"][:, 0], b["labels"][:, 1])
    assert b["labels"].shape == (4, 2)


def test_clips_carry_their_actions():
    source = Clips(frames=5, size=(16, 24), views=("flow", "semantic")).open()
    b = source.batch(IDS)
    assert b["x"].shape == (3, *source.info.shape) == (3, 3, 5, 16, 24)
    assert b["action"].shape == (3, 4)
    assert b["track"].shape == (3, 5, 2, 2)
    assert b["flow"].shape == (3, 2, 5, 16, 24)
    assert b["semantic"].shape == (3, 5, 16, 24)
    assert b["track"].diff(dim=1)[:, :, 0].abs().sum(-1).max() <= 0.05 + 1e-6


def test_configs_go_to_json_and_the_command_line():
    for config in (Scenes(dial=Dial(glyphs=3), views=("depth",)), Clips(frames=3)):
        assert from_config(to_config(config)) == config
    assert isinstance(parse_data("scenes"), Scenes)
    assert override(Scenes(), "dial.overlap", "0.5").dial.overlap == 0.5


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Scenes(views=("smell",)), "view"),
        (lambda: Scenes(facts=("mood",)), "fact"),
        (lambda: Scenes(size=(0, 4)), "data.size"),
        (lambda: Scenes(size=(30, 30), views=("palette",)), "data.patch"),
        (lambda: Scenes(aspects=((8, 8),), views=("voxels",)), "data.views"),
        (lambda: Scenes().open("valid"), "split"),
        (lambda: Scenes().open().batch(torch.tensor([SIZE])), "ids"),
        (lambda: Scenes().open().batch(torch.tensor([-1])), "ids"),
        (lambda: Clips(frames=1), "data.frames"),
        (lambda: Clips(views=("smell",)), "view"),
        (lambda: Clips().open("valid"), "split"),
        (lambda: Clips().open().batch(torch.tensor([-1])), "ids"),
    ],
)
def test_bad_requests_are_named(make, match):
    with pytest.raises((FrisketError, TypeCheckError), match=match):
        make()


def test_facts_of_the_set_can_be_saved_with_a_model():
    extra = Scenes(size=(16, 16)).open("train").info.extra
    assert from_config(json.loads(json.dumps(to_config(extra))))["dial"]["objects"] == (1, 3)
