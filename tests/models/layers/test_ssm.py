"""The state-space mixer: what it may see, what it costs, what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch.func import functional_call

from frisket.core import FrisketError, from_config, to_config
from frisket.interop.vim import alone
from frisket.models.backbones.sizes import dim_block
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch, repeat
from frisket.models.count import count_macs, count_parameters, macs_of_size
from frisket.models.grid import Grid
from frisket.models.init import build_real, parameter_groups
from frisket.models.layers.base import Sizes
from frisket.models.layers.ends import Patches
from frisket.models.layers.ssm import SSM
from frisket.models.plans.routing import Routing

WIDTH, TOKENS = 12, 10
SIZES = Sizes(width=WIDTH, heads=1, condition=WIDTH, grid=Grid.of((TOKENS,)))


def mixer(config=None, seed=0):
    module = build_real(lambda: (config or SSM(states=3)).build(SIZES))
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=g))
    return module.double()


def tokens(seed=1):
    return torch.randn(2, TOKENS, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def reach(module):
    """(token out, token in) -> whether the one depends on the other."""
    x = tokens()[:1]
    jacobian = torch.autograd.functional.jacobian(lambda v: module(*alone(v)).sum((0, 2)), x)
    return jacobian[:, 0].abs().sum(-1) > 0


def test_one_way_sees_no_later_token_and_two_ways_see_all():
    assert torch.equal(reach(mixer(SSM(directions=("forward",), states=3))), torch.ones(TOKENS, TOKENS).tril().bool())
    assert torch.equal(reach(mixer(SSM(directions=("backward",), states=3))), torch.ones(TOKENS, TOKENS).triu().bool())
    assert reach(mixer()).all()


def test_ways_of_equal_weights_commute_with_turning_round():
    module = mixer()
    module.ways[1].load_state_dict(module.ways[0].state_dict())
    x = tokens()
    torch.testing.assert_close(module(*alone(x.flip(1))), module(*alone(x)).flip(1))


def test_the_kernels_agree():
    module = mixer()
    wanted = module(*alone(tokens()))
    module.kernel = "sequential"
    torch.testing.assert_close(module(*alone(tokens())), wanted)


def test_step_sizes_of_nothing_leave_the_skip_alone():
    module = mixer(SSM(directions=("forward",), states=3))
    way = module.ways[0]
    with torch.no_grad():
        way.step.weight.zero_()
        way.step.bias.fill_(-800.0)
    x = tokens()
    values, gate = module.enter(x).chunk(2, -1)
    wanted = module.leave(way.skip * way.convolve(values) * torch.nn.functional.silu(gate))
    torch.testing.assert_close(module(*alone(x)), wanted)


def test_the_convolution_looks_back_only():
    way = mixer().ways[0]
    x = torch.randn(1, 6, 24, dtype=torch.float64)
    padded = torch.cat([x.new_zeros(1, 3, 24), x], 1)
    wanted = torch.stack([(padded[:, i : i + 4] * way.taps.T).sum(1) + way.bias for i in range(6)], 1)
    torch.testing.assert_close(way.convolve(x), torch.nn.functional.silu(wanted))


def test_weights_are_the_formula_and_start_as_mamba_does():
    d, s = 64, 16
    sizes = Sizes(width=d, heads=1, condition=d, grid=Grid.of((4,)))
    module = build_real(lambda: SSM().build(sizes))
    rank = d // 16
    assert count_parameters(module) == 6 * d**2 + 4 * d * (2 * rank + 3 * s + 7)
    for way in module.ways:
        torch.testing.assert_close(way.decay.exp()[7], torch.arange(1, 17).float())
        steps = torch.nn.functional.softplus(way.step.bias)
        assert steps.min() > 0.9e-3
        assert steps.max() < 1.1e-1
        assert (way.skip == 1).all()
    still = {id(p) for g in parameter_groups(module, 0.1) if g["weight_decay"] == 0 for p in g["params"]}
    assert all(id(v) in still for way in module.ways for v in (way.decay, way.skip, way.bias))


def test_twice_the_tokens_are_exactly_twice_the_work():
    def macs(length):
        model = Transformer(width=16, heads=2, blocks=repeat(dim_block(), 2), input=Patches(size=(length,), patch=1))
        with torch.device("meta"):
            return count_macs(model.build(), (1, length)) - sum(p.shape[0] * p.shape[1] for p in conditions(model))

    assert macs(128) == 2 * macs(64)


def conditions(config):
    """Matrices that work once a sample: time and modulation."""
    with torch.device("meta"):
        model = config.build()
    once = ("time.", "final_modulation.", "blocks.0.modulation.", "blocks.1.modulation.")
    return [p for name, p in model.named_parameters() if p.ndim == 2 and name.startswith(once)]


def test_a_blocks_work_is_the_formula():
    d, s, n = 32, 16, 64
    config = Transformer(width=d, heads=2, blocks=(dim_block(),), input=Patches(size=(n,), patch=1))
    e, rank = 2 * d, 2
    mixer_macs = n * (6 * d**2 + 2 * e * (4 + 2 * rank + 2 * s + 9 * s))
    bare = Transformer(width=d, heads=2, blocks=(Block(branches=(Branch(name="none", mixer=Nothing()),)),),
                       input=Patches(size=(n,), patch=1))  # fmt: skip
    assert macs_of_size(config, (1, n)) - macs_of_size(bare, (1, n)) == mixer_macs


class Nothing:
    def build(self, sizes):
        return Silent()


class Silent(torch.nn.Module):
    def forward(self, tokens, call):
        return tokens.h


def test_a_fresh_block_is_the_identity_and_a_filled_one_is_not():
    model = Transformer(width=16, heads=2, blocks=(dim_block(),), input=Patches(size=(4, 4), patch=1)).build()
    h = {}
    x = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    for name, fill in (("fresh", 0.0), ("filled", 0.3)):
        with torch.no_grad():
            model.blocks[0].modulation.linear.bias.fill_(fill)
        seen = []
        hook = model.blocks[0].register_forward_hook(lambda m, a, out, seen=seen: seen.append((a[-1].h, out.h)))
        model(x, torch.rand(2))
        hook.remove()
        h[name] = seen[0]
    assert torch.equal(*h["fresh"])
    assert (h["filled"][0] - h["filled"][1]).abs().max() > 1e-3


def network(**changes):
    return Transformer(width=16, heads=2, blocks=repeat(dim_block(mixer=SSM(states=2)), 3),
                       input=Patches(size=(4, 4), patch=1), **changes).build()  # fmt: skip


def test_a_kept_subset_another_order_and_more_tokens_are_refused_with_the_reason():
    model, x, t = network(plan=Routing(low=1, high=2)), torch.randn(2, 1, 4, 4), torch.rand(2)
    span = model.config.plan.spans[0].name
    with pytest.raises(FrisketError, match="12 of them"):
        model(x, t, keep={span: torch.arange(12).expand(2, -1)})
    with pytest.raises(FrisketError, match="another order"):
        model(x, t, keep={span: torch.arange(16).flip(0).expand(2, -1)})
    whole = model(x, t, keep={span: torch.arange(16).expand(2, -1)})
    assert torch.equal(whole.pred, model(x, t).pred)


def test_grids_of_another_size_and_two_axes_are_read_in_raster_order():
    model, x = network(), torch.randn(1, 1, 2, 8, generator=torch.Generator().manual_seed(0))
    assert model(x, torch.rand(1)).pred.shape == x.shape


def test_configs_round_trip_and_bad_ones_are_refused():
    config = SSM(directions=("forward", "forward"), rank=3)
    assert from_config(to_config(config)) == config
    for wrong in ({"directions": ()}, {"states": 0}, {"rank": 0}, {"taps": 0}):
        with pytest.raises(FrisketError):
            SSM(**wrong)


def test_it_can_be_called_with_other_weights():
    module = mixer()
    other = {k: v * 0.5 for k, v in module.state_dict().items()}
    assert functional_call(module, other, alone(tokens())).shape == (2, TOKENS, WIDTH)
