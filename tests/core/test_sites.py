from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from frisket.core import Dispatch, FrisketError, Step, install, use_step
from frisket.core.sites import match

SITES = ["model", "block[0]", "block[1]", "block[2]", "block[0].attn", "block[1].attn", "block[2].attn",
         "level[0].block[0]", "level[0].block[1]", "level[1].block[0]", "head"]  # fmt: skip
STEP = Step(seed=0, sample=torch.arange(2))


class Toy(nn.Module):
    """Three blocks, each adding its own linear map, which is a site too."""

    def __init__(self):
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

    def sites(self) -> list[str]:
        return [s for i in range(3) for s in (f"block[{i}]", f"block[{i}].attn")]

    def forward(self, x):
        at = Dispatch(self)
        for i, layer in enumerate(self.maps):
            x = at(f"block[{i}]", lambda h, i=i, layer=layer: h + at(f"block[{i}].attn", layer, h), x)
        return x


@pytest.fixture
def toy() -> Toy:
    return Toy()


@pytest.fixture
def x() -> torch.Tensor:
    return torch.linspace(-1, 1, 8).reshape(2, 4)


def run(model, x):
    with use_step(STEP):
        return model(x)


def passing(call, args, step):
    return call(*args)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("model", ["model"]),
        ("block[1]", ["block[1]"]),
        ("block[-1]", ["block[2]"]),
        ("block[-3].attn", ["block[0].attn"]),
        ("block[:]", ["block[0]", "block[1]", "block[2]"]),
        ("block[1:]", ["block[1]", "block[2]"]),
        ("block[:-1].attn", ["block[0].attn", "block[1].attn"]),
        ("block[0:2]", ["block[0]", "block[1]"]),
        ("block[-2:]", ["block[1]", "block[2]"]),
        ("level[:].block[0]", ["level[0].block[0]", "level[1].block[0]"]),
        ("level[0].block[-1]", ["level[0].block[1]"]),
        ("level[:].block[:]", ["level[0].block[0]", "level[0].block[1]", "level[1].block[0]"]),
    ],
)
def test_patterns_name_sites(pattern, found):
    assert match(pattern, SITES) == found


@pytest.mark.parametrize(
    "pattern", ["block[3]", "block[-4]", "block[2:2]", "block[]", "block[0-1]", "blocks[0]", "tail"]
)
def test_a_pattern_without_a_site_is_refused(pattern):
    with pytest.raises(FrisketError, match="unknown site"):
        match(pattern, SITES)


def test_a_near_miss_is_named():
    with pytest.raises(FrisketError, match=r"did you mean 'block\[0\].attn'"):
        match("block[0].atn", SITES)


def test_without_handlers_no_step_is_asked_for(toy, x):
    assert torch.isfinite(toy(x)).all()


def test_a_handler_that_passes_changes_no_bit(toy, x):
    plain = toy(x)
    with install(toy, {"block[:]": passing, "block[:].attn": passing}):
        assert torch.equal(run(toy, x), plain)


def test_a_handler_needs_a_step(toy, x):
    with install(toy, {"block[0]": passing}), pytest.raises(FrisketError, match="no Step is in force"):
        toy(x)


def test_handlers_read_change_and_skip(toy, x):
    seen = []

    def tap(call, args, step):
        seen.append((args[0].clone(), step))
        return call(*args)

    with install(toy, {"block[0]": tap, "block[1:]": lambda call, args, step: args[0]}):
        out = run(toy, x)
    assert torch.equal(out, x + toy.maps[0](x))
    assert torch.equal(seen[0][0], x)
    assert seen[0][1] is STEP
    with install(toy, {"block[:].attn": lambda call, args, step: torch.zeros_like(args[0])}):
        assert torch.equal(run(toy, x), x)
    with install(toy, {"block[0]": lambda call, args, step: call(args[0] * 2)}):
        assert torch.equal(run(toy, x), run_from(toy, x * 2))


def run_from(toy, x):
    """The toy by hand."""
    for layer in toy.maps:
        x = x + layer(x)
    return x


def test_the_first_handler_installed_is_the_outermost(toy, x):
    order = []

    def named(name):
        def handle(call, args, step):
            order.append(f"{name} in")
            out = call(*args)
            order.append(f"{name} out")
            return out

        return handle

    with install(toy, {"block[0]": named("a"), "block[:1]": named("b")}), install(toy, {"block[0]": named("c")}):
        run(toy, x)
    assert order == ["a in", "b in", "c in", "c out", "b out", "a out"]


def test_nothing_is_left_behind(toy, x):
    before = dict(toy.__dict__)
    plain = toy(x)
    with pytest.raises(RuntimeError, match="stop"), install(toy, {"block[:]": passing}):
        raise RuntimeError("stop")
    with install(toy, {"block[0]": passing}):
        with install(toy, {"block[0]": lambda call, args, step: args[0] * 0}):
            assert not torch.equal(run(toy, x), plain)
        assert torch.equal(run(toy, x), plain)
    assert toy.__dict__.keys() == before.keys()
    assert torch.equal(toy(x), plain)


def test_a_bad_pattern_installs_nothing(toy, x):
    before = dict(toy.__dict__)
    with pytest.raises(FrisketError, match="unknown site"), install(toy, {"block[0]": passing, "block[9]": passing}):
        pass
    assert toy.__dict__.keys() == before.keys()


def test_handlers_are_no_part_of_the_saved_model(toy):
    with install(toy, {"block[0]": passing}):
        assert toy.state_dict().keys() == Toy().state_dict().keys()


def test_a_copy_made_before_installing_stays_plain(toy, x):
    twin = copy.deepcopy(toy)
    with install(toy, {"block[:]": lambda call, args, step: args[0] * 0}):
        assert torch.equal(twin(x), run_from(twin, x))


def test_a_model_without_sites_is_refused():
    with pytest.raises(Exception, match="Linear"), install(nn.Linear(2, 2), {"model": passing}):  # type: ignore[arg-type]
        pass


def test_names_are_made_only_for_those_who_ask(toy):
    assert Dispatch(toy).inside("block[0]", "attn") == ""
    with install(toy, {"block[0].attn": lambda call, args, step: call(*args)}):
        assert Dispatch(toy).inside("block[0]", "attn") == "block[0].attn"
