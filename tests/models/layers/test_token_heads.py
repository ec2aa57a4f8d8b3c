"""Heads that denoise tokens: silent at first; one token at a time or the whole grid."""

import pytest
import torch

from frisket.models.grid import Grid
from frisket.models.init import build_real
from frisket.models.layers.token_heads import EachToken, WholeGrid

GRID = Grid.of((2, 3))
HEADS = (EachToken(width=8, depth=2), WholeGrid(width=8, depth=2, heads=2))


def made(config, stir=True):
    head = build_real(lambda: config.build(2, 4, 5, GRID))
    if stir:
        with torch.no_grad():
            for i, p in enumerate(p for p in head.parameters() if p.requires_grad):
                p.copy_(0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(i)))
    return head


def inputs():
    g = torch.Generator().manual_seed(0)
    time = torch.rand(3, 1, generator=g).expand(3, 6) * 1000
    return (
        torch.randn(3, 6, 2, generator=g),
        time,
        torch.randn(3, 6, 5, generator=g),
        torch.ones(3, 6, dtype=torch.bool),
    )


@pytest.mark.parametrize("config", HEADS)
def test_a_new_head_gives_zeros(config):
    out = made(config, stir=False)(*inputs())
    assert out.shape == (3, 6, 4)
    assert not bool(out.any())


def test_a_token_head_sees_its_token_alone_and_only_what_is_asked():
    head, (noisy, time, vectors, asked) = made(HEADS[0]), inputs()
    whole = head(noisy, time, vectors, asked)
    some = asked.clone()
    some[:, 2:] = False
    part = head(noisy.masked_fill(~some[..., None], torch.nan), time, vectors, some)
    torch.testing.assert_close(part[:, :2], whole[:, :2], rtol=1e-5, atol=1e-6)
    assert not bool(part[:, 2:].any())


def test_a_grid_head_reads_noisy_values_at_all_places():
    head, (noisy, time, vectors, asked) = made(HEADS[1]), inputs()
    whole = head(noisy, time, vectors, asked)
    other = noisy.clone()
    other[:, 5] += 1
    assert not torch.allclose(head(other, time, vectors, asked)[:, 0], whole[:, 0])


@pytest.mark.parametrize("config", HEADS)
def test_time_and_vectors_are_read(config):
    head, (noisy, time, vectors, asked) = made(config), inputs()
    whole = head(noisy, time, vectors, asked)
    assert not torch.allclose(head(noisy, time + 300, vectors, asked), whole)
    assert not torch.allclose(head(noisy, time, vectors + 1, asked), whole)
