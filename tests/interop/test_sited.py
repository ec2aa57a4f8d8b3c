"""Sites of diffusers transformers: nothing changes by itself, nothing stays, and caches keep their promises there."""

from __future__ import annotations

import pytest
import torch
from foreign import HOSTS, call_dit, dit, noise
from torch import nn

from frisket.caching.first_block import FirstBlock
from frisket.caching.forecasts import Taylor
from frisket.caching.intervals import Interval
from frisket.core import FrisketError, install
from frisket.core.sites import sited

TIMES = (900, 600, 300, 100)


@pytest.fixture(scope="module")
def hosts():
    return {name: (make(), call) for name, (make, call) in HOSTS.items()}


def run(model, call, times=TIMES):
    with torch.no_grad():
        return [call(model, t) for t in times]


def state(model):
    return {id(module): dict(module.__dict__) for module in model.modules()}


@pytest.mark.parametrize("name", HOSTS)
def test_every_host_lists_branches_and_is_left_as_it_was(name, hosts):
    model, call = hosts[name]
    before, dense = state(model), run(model, call)
    sites = sited(model).sites()
    assert sites[0] == "model"
    assert {"block[0].attn", "block[0].ffn", "block[1].attn"} <= set(sites)
    passing = {site: lambda call, args, step: call(*args) for site in sites}
    with install(model, passing):
        assert all(map(torch.equal, run(model, call), dense))
    assert state(model) == before


@pytest.mark.parametrize("cache", [Interval(every=1), FirstBlock(threshold=0.0)])
@pytest.mark.parametrize("name", HOSTS)
def test_a_cache_that_never_skips_is_exact(name, cache, hosts):
    model, call = hosts[name]
    dense = run(model, call)
    with cache.install(model) as report:
        assert all(map(torch.equal, run(model, call), dense))
    assert report.share == 1.0


@pytest.mark.parametrize("name", HOSTS)
def test_reused_steps_call_no_branch_and_follow_the_time(name, hosts):
    model, call = hosts[name]
    dense = run(model, call)
    modules = [m for site, m in sited(model).places.items() if not site.endswith("]")]
    with Interval(every=4).install(model) as report:
        run(model, call)  # a run before, of which nothing may be left
        calls = []
        hooks = [m.register_forward_hook(lambda *_: calls.append(1)) for m in modules]
        outs = run(model, call)
        for hook in hooks:
            hook.remove()
    assert [f.full for f in report.forwards] == [True, False, False, False] * 2
    assert torch.equal(outs[0], dense[0])
    assert not torch.equal(outs[1], outs[2])
    assert report.reused == 6 * len(modules)
    assert 0 < report.share < 1


@pytest.mark.parametrize("name", HOSTS)
def test_the_same_call_from_the_cache_is_the_same(name, hosts):
    model, call = hosts[name]
    with Interval(every=9).install(model):
        # the second time differs too little to move the embedding in single precision
        outs = run(model, call, (500.0, 500.0 - 1e-4))
    torch.testing.assert_close(outs[0], outs[1], rtol=0, atol=1e-3)


def test_another_resolution_or_batch_begins_anew():
    model = dit()
    with torch.no_grad(), Interval(every=9).install(model) as report:
        for t, x in ((900, noise(2, 4, 8, 8)), (800, noise(3, 4, 8, 8)), (700, noise(3, 4, 8, 8, seed=1))):
            call_dit(model, t, x)
    assert [f.full for f in report.forwards] == [True, True, False]


def test_installing_inside_nests_and_unwinds():
    model, order = dit(), []

    def note(word):
        def handler(call, args, step):
            order.append(word)
            return call(*args)

        return handler

    before = state(model)
    with torch.no_grad(), install(model, {"block[0].attn": note("outer")}):
        with install(model, {"block[:].attn": note("inner")}):
            call_dit(model, 5)
        assert order == ["outer", "inner", "inner"]
        call_dit(model, 5)
        assert order[3:] == ["outer"]
    assert state(model) == before


def test_a_forward_of_ones_own_comes_back():
    model = dit()
    block = model.transformer_blocks[0]
    own = block.attn1.forward
    block.attn1.forward = lambda *args, **kwargs: 2 * own(*args, **kwargs)
    mine = block.attn1.forward
    with pytest.raises(RuntimeError), Interval(every=2).install(model):
        raise RuntimeError
    assert block.attn1.forward is mine


def test_handlers_may_change_what_goes_in_and_out():
    model = dit()
    with torch.no_grad():
        plain = call_dit(model, 5)
        with install(model, {"model": lambda call, args, step: call(args[0], args[1] + 1)}):
            assert torch.equal(call_dit(model, 4), plain)
        with install(model, {"block[:].attn": lambda call, args, step: 0 * call(*args)}):
            assert not torch.allclose(call_dit(model, 5), plain)


def test_an_unknown_pattern_is_refused_and_leaves_nothing():
    model = dit()
    before = state(model)
    with pytest.raises(FrisketError, match="unknown site"), install(model, {"block[7]": lambda c, a, s: c(*a)}):
        pass
    assert state(model) == before


def pipeline(total: int = 1000):
    """A real DiTPipeline with a tiny autoencoder."""
    import diffusers

    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8), down_block_types=("DownEncoderBlock2D",) * 2, latent_channels=4,
        up_block_types=("UpDecoderBlock2D",) * 2, norm_num_groups=4,
    )  # fmt: skip
    pipe = diffusers.DiTPipeline(transformer=dit(), vae=vae.eval(), scheduler=diffusers.DDIMScheduler())
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(pipe, steps=6, scale=4.0, labels=(1, 2)):
    generator = torch.Generator().manual_seed(0)
    return pipe(
        list(labels), guidance_scale=scale, generator=generator, num_inference_steps=steps, output_type="pt"
    ).images


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_a_whole_pipeline_is_cached_with_exact_phases(scale):
    pipe = pipeline()
    dense = draw(pipe, scale=scale)
    with Interval(every=1).install(pipe):
        assert (draw(pipe, scale=scale) == dense).all()
    with Interval(every=4).install(pipe) as report:
        first, second = draw(pipe, scale=scale), draw(pipe, scale=scale)
        draw(pipe, steps=5, scale=scale, labels=(1, 2, 3))
    assert (first == second).all()
    assert not (first == dense).all()
    full = [(f.run, f.index) for f in report.forwards if f.full]
    assert [i for _, i in full] == [0, 1, 5, 0, 1, 5, 0, 4]
    assert len({r for r, _ in full}) == 3
    assert (draw(pipe, scale=scale) == dense).all()


def test_a_forecast_is_nearer_than_reuse_on_a_smooth_run():
    model = dit()
    times = [500.0 - 0.1 * i for i in range(8)]
    dense = run(model, call_dit, times)
    far = []
    for forecast in (None, Taylor(order=1)):
        with Interval(every=2, forecast=forecast).install(model):
            outs = run(model, call_dit, times)
        far.append(sum(float((a - b).norm()) for a, b in zip(outs, dense, strict=True)))
    assert far[1] < far[0]


def test_a_pipeline_with_two_transformers_is_refused():
    pipe = nn.Module()
    pipe.transformer, pipe.transformer_2, pipe.scheduler = dit(), dit(), None
    with pytest.raises(FrisketError, match="two transformers"):
        sited(pipe)
