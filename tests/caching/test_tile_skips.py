import math
from dataclasses import replace

import pytest
import torch
from sampling_fakes import steps, tiny_pipeline
from torch.nn.functional import scaled_dot_product_attention

from frisket.caching.tile_choices import Fresh, Growing, Near, Profiled, Scattered
from frisket.caching.tile_skips import TileSkips
from frisket.caching.tiles import Tile, everywhere, tile_gaps
from frisket.core.condition import Condition
from frisket.core.config import from_config, to_config
from frisket.core.errors import FrisketError
from frisket.core.sites import install
from frisket.core.step import Step, use_step
from frisket.models.attend import attend
from frisket.models.masks.causal import Causal
from frisket.models.masks.local import Window
from frisket.models.tokens import Tags
from frisket.sampling.guidance import cfg
from frisket.sampling.sampler import Sampler

TILE = Tile(queries=4, keys=4)
CLOSE = {"atol": 1e-5, "rtol": 1e-5}
SITE = "block[0].attn.attend"


class OneSite:
    """A model that is one attention of 16 tokens."""

    def sites(self):
        return ["model", SITE]


def mounted(**changes):
    aid = TileSkips(**{"tile": TILE} | changes).mount(OneSite())
    return aid.handlers[SITE], aid.report


def qkv(seed=0, b=2, n=16, d=8, scale=3.0):
    g = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(b, 2, n, d, generator=g) for _ in range(3))
    return scale * q, scale * k, v


def at(index, b=2, total=6, branch="conditional", first=0, **more):
    sample = torch.arange(first, first + b)
    return Step(seed=0, sample=sample, index=index, total=total, branch=branch, **more)


def masked(q, k, v, alive):
    return scaled_dot_product_attention(q, k, v, attn_mask=everywhere(alive, TILE, q.shape[2], k.shape[2]))


def run(handler, step, given, **more):
    tags = Tags(n=16, **more)
    return handler(attend, (*given, tags, tags), step)


def test_marks_act_from_the_next_step_on_and_only_grow():
    handler, report = mounted(choice=Growing(threshold=-3.0))
    alive = torch.ones(2, 2, 4, 4, dtype=torch.bool)
    for index in range(4):
        q, k, v = qkv(index)
        torch.testing.assert_close(run(handler, at(index), (q, k, v)), masked(q, k, v, alive), **CLOSE)
        assert report.steps[index].alive == int(alive.sum())
        alive = alive & (tile_gaps(q, k, alive, TILE) > -3.0)
    assert report.densities == sorted(report.densities, reverse=True)
    assert report.densities[0] == 1.0
    assert report.densities[-1] < 0.9


def test_an_infinite_threshold_is_the_plain_call_bit_for_bit():
    handler, report = mounted(choice=Growing(threshold=-math.inf))
    for index in range(3):
        given = qkv(index)
        tags = Tags(n=16)
        assert torch.equal(run(handler, at(index), given), attend(*given, tags, tags))
    assert report.density == 1.0


def test_the_loosest_threshold_leaves_the_first_visited_tile():
    class Loose(Growing):
        def __post_init__(self):
            pass

    handler, report = mounted(choice=Loose(threshold=math.inf))
    given = qkv()
    run(handler, at(0), given)
    out = run(handler, at(1), given)
    last = torch.zeros(2, 2, 4, 4, dtype=torch.bool)
    last[..., -1] = True
    torch.testing.assert_close(out, masked(*given, last), **CLOSE)
    assert report.densities == [1.0, 0.25]


def test_a_new_generation_starts_dense():
    handler, report = mounted(choice=Growing(threshold=-2.0))
    given = qkv()
    first = [run(handler, at(index), given) for index in range(3)]
    again = [run(handler, at(index), given) for index in range(3)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], first[2])
    other = run(handler, at(3, run="another"), given)
    assert torch.equal(other, first[0])
    assert report.densities[0] == 1.0


def test_guidance_branches_have_states_of_their_own():
    joint, _ = mounted(choice=Growing(threshold=-2.0))
    alone, _ = mounted(choice=Growing(threshold=-2.0))
    for index in range(3):
        a, b = qkv(index), qkv(10 + index)
        both = tuple(torch.cat(pair) for pair in zip(a, b, strict=True))
        step = Step(seed=0, sample=torch.arange(2).repeat(2), index=index, total=6, branch="conditional+null")
        out = run(joint, step, both)
        assert torch.equal(out[:2], run(alone, at(index), a))
        assert torch.equal(out[2:], run(alone, at(index, branch="null"), b))


def test_a_branch_that_stops_leaves_the_other_its_state():
    handler, report = mounted(choice=Growing(threshold=-2.0))
    given = qkv(b=4)
    joint = Step(seed=0, sample=torch.arange(2).repeat(2), index=0, total=6, branch="conditional+null")
    run(handler, joint, given)
    run(handler, at(1), tuple(x[:2] for x in given))
    assert report.steps[1].density < 1.0


def test_rows_do_not_depend_on_their_batch():
    together, _ = mounted(choice=Growing(threshold=-2.0))
    apart, _ = mounted(choice=Growing(threshold=-2.0))
    for index in range(3):
        given = qkv(index)
        out = run(together, at(index), given)
        torch.testing.assert_close(run(apart, at(index, b=1), tuple(x[:1] for x in given)), out[:1])


def test_heads_have_states_of_their_own():
    one, _ = mounted(choice=Growing(threshold=-2.0))
    two, _ = mounted(choice=Growing(threshold=-2.0))
    for index in range(3):
        given = qkv(index)
        flipped = tuple(x.flip(1) for x in given)
        torch.testing.assert_close(run(one, at(index), given), run(two, at(index), flipped).flip(1))


def test_ranges_are_always_or_never_done():
    handler, report = mounted(choice=Growing(threshold=-0.01), must_do=((5, 6),), must_skip=((7, 13),))
    for index in range(3):
        given = qkv(index)
        out = run(handler, at(index), given)
        skip = torch.ones(2, 2, 4, 4, dtype=torch.bool)
        skip[..., 2] = False  # the only tile that 7..12 covers whole
        if index == 0:
            torch.testing.assert_close(out, masked(*given, skip), **CLOSE)
    assert report.steps[2].alive >= 2 * 2 * 4  # the tile of key 5 at least, in every row
    assert report.steps[0].density == 0.75


def test_ranges_that_clash_or_leave_nothing_are_refused():
    clash, _ = mounted(must_do=((0, 1),), must_skip=((0, 8),))
    with pytest.raises(FrisketError, match="must_do and must_skip = \\[0\\]"):
        run(clash, at(0), qkv())
    empty, _ = mounted(must_skip=((0, 16),))
    with pytest.raises(FrisketError, match="must_skip"):
        run(empty, at(0), qkv())
    with pytest.raises(FrisketError, match="must_do"):
        TileSkips(must_do=((3, 3),))


def test_keys_of_other_streams_are_never_skipped():
    handler, _ = mounted(choice=Scattered(density=0.25))
    q, k, v = qkv(scale=0.1)
    v[:, :, 12:] = 1e6
    stream = (torch.arange(16) >= 12).long()
    assert bool((run(handler, at(0), (q, k, v), stream=stream) > 0).all())


@pytest.mark.parametrize("mask", [Window(radius=2.0), Causal()])
def test_attention_masks_and_validity_hold_under_skips(mask):
    valid = torch.ones(2, 16, dtype=torch.bool)
    valid[1, 13:] = False
    tags = Tags(n=16, coords=torch.arange(16.0)[:, None], valid=valid)
    handler, _ = mounted(choice=Growing(threshold=-1e9))
    q, k, v = qkv()
    if isinstance(mask, Window):  # queries 15 of row 1 see key 13..15 only: nothing
        with pytest.raises(FrisketError, match="every query sees a key"):
            handler(attend, (q, k, v, tags, tags, mask), at(0))
        mask = Window(radius=4.0)
    want = attend(q, k, v, tags, tags, mask)
    torch.testing.assert_close(handler(attend, (q, k, v, tags, tags, mask), at(0)), want, **CLOSE)


@pytest.mark.parametrize("kernel", ["tiles", "gathered"])
@pytest.mark.parametrize("choice", [
    Growing(threshold=-2.0), Fresh(density=0.5), Profiled(density=0.5), Scattered(density=0.5), Near(density=0.5),
])  # fmt: skip
def test_every_choice_with_every_kernel(choice, kernel):
    a, first = mounted(choice=choice)
    b, second = mounted(choice=choice, kernel=kernel)
    for index in range(3):
        given = qkv(index)
        torch.testing.assert_close(run(a, at(index), given), run(b, at(index), given), **CLOSE)
    assert first.densities == second.densities
    assert first.densities[-1] < 1.0


def test_a_profile_is_taken_once_and_rules_from_the_second_call_on():
    handler, report = mounted(choice=Profiled(density=0.5))
    given = qkv()
    plain = run(handler, at(0), given)
    torch.testing.assert_close(plain, attend(*given, Tags(n=16), Tags(n=16)), **CLOSE)
    run(handler, at(1), qkv(1))
    again = run(handler, at(2), given)
    other, _ = mounted(choice=Fresh(density=0.5))
    torch.testing.assert_close(again, run(other, at(0), given), **CLOSE)
    assert report.densities == [1.0, 0.5, 0.5]


def test_fresh_choices_act_at_the_very_call():
    handler, report = mounted(choice=Fresh(density=0.5))
    run(handler, at(0), qkv())
    assert report.densities[0] == pytest.approx(0.5, abs=0.1)


def test_marks_may_be_looked_for_now_and_then():
    handler, report = mounted(choice=Growing(threshold=-2.0), every=2)
    for index in range(4):
        run(handler, at(index), qkv(index))
    d = report.densities
    assert d[1] == d[2] < d[0]
    assert d[3] < d[2]


def noisy_sampler(**changes):
    return Sampler(steps=5, guidance=cfg(2.0), **changes)


def samples(pipeline, sampler, n=3):
    label = torch.arange(n)
    shape = pipeline.spec.shape
    return list(sampler.run(pipeline.model.eval(), pipeline.process, shape=shape, step=steps(n),
                            cond=Condition.of(label=label)))  # fmt: skip


def test_in_a_sampler_a_run_reports_and_leaves_no_trace():
    pipeline = tiny_pipeline(size=16)
    plain = samples(pipeline, noisy_sampler())[-1].x
    held = samples(pipeline, noisy_sampler(caches=(TileSkips(tile=Tile(queries=8, keys=8)),)))
    assert held[-1].reports[0].share == 1.0
    assert len(held[-1].reports[0].forwards) == 5
    tight = TileSkips(tile=Tile(queries=8, keys=8), choice=Growing(threshold=-0.05))
    skipped = samples(pipeline, noisy_sampler(caches=(tight,)))
    report = skipped[-1].reports[0]
    assert report.density < 0.99
    attention = 2 * 64 * 64 * 16 / 4  # one row: scores and values of 64 tokens (16x16 pixels, patch 2), all heads
    assert report.dense_macs - report.macs == pytest.approx((1 - report.density) * attention * 4 * 30)
    assert not torch.equal(skipped[-1].x, plain)
    none = replace(tight, choice=Growing(threshold=-math.inf))
    assert torch.equal(samples(pipeline, noisy_sampler(caches=(none,)))[-1].x, plain)
    assert torch.equal(samples(pipeline, noisy_sampler())[-1].x, plain)
    again = samples(pipeline, noisy_sampler(caches=(tight,)))
    assert torch.equal(again[-1].x, skipped[-1].x)


def test_a_sample_does_not_depend_on_its_batch():
    pipeline = tiny_pipeline(size=16)
    sampler = noisy_sampler(caches=(TileSkips(tile=Tile(queries=8, keys=8), choice=Growing(threshold=-0.05)),))
    torch.testing.assert_close(samples(pipeline, sampler, 3)[-1].x[:2], samples(pipeline, sampler, 2)[-1].x)


def test_a_model_without_such_sites_is_refused():
    with pytest.raises(FrisketError, match="unknown site"):
        TileSkips(sites=("block[:].cross.attend",)).mount(tiny_pipeline().model)


def test_installs_on_a_model_outside_a_sampler():
    pipeline = tiny_pipeline(size=16)
    model = pipeline.model.eval()
    x = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    cond = Condition.of(label=torch.tensor([0, 1]))
    aid = TileSkips(tile=Tile(queries=8, keys=8), choice=Growing(threshold=-1e6)).mount(model)
    with torch.no_grad(), use_step(at(0)):
        plain = model(x, torch.ones(2), cond).pred
        with install(model, aid.handlers):
            torch.testing.assert_close(model(x, torch.ones(2), cond).pred, plain, atol=1e-5, rtol=1e-4)


def test_round_trips_as_a_config():
    cache = TileSkips(choice=Growing(threshold=-6.0, last=-3.0), tile=TILE, must_do=((0, 4),))
    assert from_config(to_config(cache)) == cache
    with pytest.raises(FrisketError, match="kernel"):
        TileSkips(kernel="fast")
    with pytest.raises(FrisketError, match="every"):
        TileSkips(every=0)
