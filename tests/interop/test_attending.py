"""The attention inside foreign branches: the same numbers with nothing changed, and tile skips that keep their word."""

from __future__ import annotations

import math

import pytest
import torch
from foreign import HOSTS
from torch.nn.functional import scaled_dot_product_attention

from frisket.caching.tile_choices import Growing, Near
from frisket.caching.tile_skips import TileSkips
from frisket.caching.tiles import Tile
from frisket.core import Dispatch, FrisketError, Step, install, use_step
from frisket.core.sites import sited
from frisket.interop.attending import Attending

TIMES = (900, 600, 300)


@pytest.fixture(scope="module")
def hosts():
    return {name: (make(), call) for name, (make, call) in HOSTS.items()}


def run(model, call):
    with torch.no_grad():
        return [call(model, t) for t in TIMES]


def attends(model):
    return [site for site in sited(model).sites() if site.endswith(".attend")]


@pytest.mark.parametrize("name", HOSTS)
def test_every_host_has_attention_sites_that_are_called_and_change_nothing(name, hosts):
    model, call = hosts[name]
    dense, seen = run(model, call), []

    def passing(plain, args, step):
        seen.append(args[0].shape)
        return plain(*args)

    with install(model, dict.fromkeys(attends(model), passing)):
        again = run(model, call)
    assert len(seen) == len(TIMES) * len(attends(model)) > 0
    assert all(len(shape) == 4 for shape in seen)
    for ours, theirs in zip(again, dense, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert all(map(torch.equal, run(model, call), dense))


@pytest.mark.parametrize("name", HOSTS)
def test_tile_skips_stand_on_every_host(name, hosts):
    model, call = hosts[name]
    dense = run(model, call)
    with TileSkips(choice=Growing(threshold=-1e6), tile=Tile(queries=4, keys=4)).install(model) as report:
        close = run(model, call)
    assert report.density == 1.0
    with TileSkips(choice=Growing(threshold=-math.inf)).install(model):
        assert all(map(torch.equal, run(model, call), dense))
    with TileSkips(choice=Near(density=0.3), tile=Tile(queries=4, keys=4)).install(model) as report:
        far = run(model, call)
    assert report.density < 0.5
    assert report.share < 1.0
    for plain, a, b in zip(dense, close, far, strict=True):
        torch.testing.assert_close(a, plain, atol=1e-4, rtol=1e-4)
        assert not torch.allclose(b, plain, atol=1e-3)


class Held:
    """A model with one handler."""

    def __init__(self, handler):
        self.__dict__["_site_handlers"] = {"a": [handler]}


def attended(*args, **kwargs):
    at = Dispatch(Held(lambda call, args, step: call(*args)))
    with use_step(Step(seed=0, sample=torch.zeros(2))), Attending(at, "a"):
        return scaled_dot_product_attention(*args, **kwargs)


def test_masks_and_scales_are_handed_on():
    g = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, n, 4, generator=g) for n in (5, 6, 6))
    mask = torch.rand(2, 1, 5, 6, generator=g) < 0.7
    mask[..., 0] = True
    for given in ({"attn_mask": mask}, {"scale": 0.3}, {"attn_mask": torch.randn(5, 6, generator=g), "scale": 2.0}):
        want = scaled_dot_product_attention(q, k, v, **given)
        torch.testing.assert_close(attended(q, k, v, **given), want, atol=1e-6, rtol=1e-5)


def test_what_handlers_do_not_know_is_refused():
    q = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    with pytest.raises(FrisketError, match="is_causal"):
        attended(q, q, q, is_causal=True)
    with pytest.raises(FrisketError, match="3 axes"):
        attended(q[:, 0], q[:, 0], q[:, 0])
