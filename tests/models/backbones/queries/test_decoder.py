"""The query decoder's invariants: what a mask hides has no influence, and queries are a set."""

from __future__ import annotations

import pytest
import torch

from frisket.core.sites import Dispatch, install
from frisket.core.step import Step, use_step
from frisket.models.attend import ALL
from frisket.models.backbones.queries.base import Refined
from frisket.models.backbones.queries.decoder import DecoderLayer, Memory, MultiHead, QueryDecoder
from frisket.models.backbones.queries.focus import Everywhere, Predicted
from frisket.models.init import build_real
from frisket.models.masks.dense import Dense
from frisket.testing.backbones import stir

GENERATOR = torch.Generator().manual_seed(0)
AT = Dispatch(object())


def normal(*shape):
    return torch.randn(*shape, generator=GENERATOR)


def decoder(focus=None, layers=4):
    made = build_real(
        lambda: QueryDecoder(
            focus or Predicted(), width=16, heads=2, classes=3, queries=5, layers=layers, levels=3, hidden=24
        )
    )
    stir(made, 0.3)
    return made


def refined():
    return Refined(normal(2, 16, 8, 8), [normal(2, 16, s, s) for s in (2, 4, 8)])


@pytest.fixture
def attention():
    made = build_real(lambda: MultiHead(16, 2))
    stir(made, 0.3)
    return made


def test_blocked_cells_have_no_influence(attention):
    q, cells = normal(1, 2, 16), normal(1, 6, 16)
    allowed = torch.tensor([[True, True, False, False, True, False], [False, True, True, True, True, True]])
    changed = cells.clone()
    changed[:, ~allowed[0]] += 100.0
    before, after = (attention(q, c, c, Dense(table=allowed, empty="all"), AT, "") for c in (cells, changed))
    assert torch.equal(before[:, 0], after[:, 0])
    assert not torch.allclose(before[:, 1], after[:, 1])


def test_a_row_that_is_blocked_everywhere_is_plain_attention(attention):
    q, cells = normal(1, 2, 16), normal(1, 6, 16)
    allowed = torch.zeros(2, 6, dtype=torch.bool)
    allowed[1, 0] = True
    masked, plain = attention(q, cells, cells, Dense(table=allowed, empty="all"), AT, ""), attention(
        q, cells, cells, ALL, AT, ""
    )  # fmt: skip
    assert bool(masked.isfinite().all())
    torch.testing.assert_close(masked[:, 0], plain[:, 0], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(masked[:, 1], plain[:, 1])


def test_a_mask_of_everything_is_plain_attention(attention):
    q, cells = normal(2, 3, 16), normal(2, 6, 16)
    full = Dense(table=torch.ones(2, 3, 6, dtype=torch.bool), empty="all")
    assert torch.equal(attention(q, cells, cells, full, AT, ""), attention(q, cells, cells, ALL, AT, ""))


def test_values_carry_no_positions():
    layer = build_real(lambda: DecoderLayer(16, 2, 24))
    seen = {}

    def look(call, args, step):
        seen["q"], seen["k"], seen["v"] = args[:3]
        return call(*args)

    class Host:
        def sites(self):
            return ["b.cross"]

    host = Host()
    x, place, cells, places = normal(1, 2, 16), normal(2, 16), normal(1, 4, 16), normal(4, 16)
    with install(host, {"b.cross": look}), use_step(Step(seed=0, sample=torch.zeros(1, dtype=torch.int64))):
        layer(x, place, Memory(cells, places, (2, 2)), ALL, Dispatch(host), "b")
    assert torch.equal(seen["v"], cells)
    assert torch.equal(seen["k"], cells + places)
    assert torch.equal(seen["q"], x + place)


def test_there_is_a_prediction_before_the_first_layer_and_after_each():
    found = decoder()(refined(), AT)
    assert len(found) == 5
    assert {tuple(p.masks.shape) for p in found} == {(2, 5, 8, 8)}
    assert {tuple(p.classes.shape) for p in found} == {(2, 5, 4)}


def test_layers_read_the_maps_in_turn_coarsest_first():
    made, given, sizes = decoder(), refined(), []

    class Note:
        def mask(self, logits, size):
            sizes.append(size)
            return ALL

    made.focus = Note()
    made(given, AT)
    assert sizes == [(2, 2), (4, 4), (8, 8), (2, 2)]


def test_permuted_queries_give_permuted_predictions():
    made, given = decoder(), refined()
    before = made(given, AT)
    order = torch.tensor([3, 0, 4, 1, 2])
    with torch.no_grad():
        made.query.copy_(made.query[order])
        made.place.copy_(made.place[order])
    for a, b in zip(before, made(given, AT), strict=True):
        torch.testing.assert_close(b.masks, a.masks[:, order], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(b.classes, a.classes[:, order], rtol=1e-4, atol=1e-4)


def test_the_focus_changes_the_layers_and_not_the_first_prediction():
    masked, plain = decoder(Predicted()), decoder(Everywhere())
    plain.load_state_dict(masked.state_dict())
    given = refined()
    (first, *_, last), (other_first, *_, other_last) = masked(given, AT), plain(given, AT)
    assert torch.equal(first.masks, other_first.masks)
    assert not torch.allclose(last.masks, other_last.masks)


def test_masks_are_products_of_queries_and_pixels():
    made, given = decoder(), refined()
    doubled = Refined(2 * given.pixels, given.memory)
    torch.testing.assert_close(made(doubled, AT)[0].masks, 2 * made(given, AT)[0].masks)
