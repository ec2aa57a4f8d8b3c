import pytest
import torch

from frisket.codecs.base import Spec
from frisket.core import FrisketError, from_config, to_config
from frisket.models.block import Block, Branch, repeat
from frisket.models.init import build_real, marks_of
from frisket.models.layers.attention import Attention
from frisket.models.layers.grid_ids import GridIds
from frisket.models.layers.modulation import Unmodulated
from frisket.models.layers.positions import SinCos, sincos

PLAIN = Block(branches=(Branch(name="attn", mixer=Attention()),), modulation=Unmodulated())


def built(depth=1, **fields):
    config = GridIds(vocabulary=5, size=(2, 3), heads=2, blocks=repeat(PLAIN, depth), **fields)
    return build_real(lambda: config.build(8))


def test_without_blocks_a_place_sees_itself_alone():
    ids = torch.arange(5).repeat(2)[:6].view(1, 2, 3)
    changed = ids.clone()
    changed[0, 0, 0] = 4
    for depth, alone in ((0, True), (1, False)):
        model = built(depth)
        a, b = model(ids, None).h, model(changed, None).h
        assert a.shape == (1, 6, 8)
        assert not torch.allclose(a[:, 0], b[:, 0])
        assert torch.allclose(a[:, 1:], b[:, 1:], atol=1e-7) == alone


def test_a_dropped_row_says_nothing_of_its_ids():
    model, drop = built(), torch.tensor([True, False])
    ids = torch.randint(0, 5, (2, 2, 3), generator=torch.Generator().manual_seed(0))
    a, b = model(ids, drop).h, model(4 - ids, drop).h
    assert torch.equal(a[0], b[0])
    assert not torch.allclose(a[1], b[1])
    assert torch.allclose(a[1], model(ids, None).h[1], atol=1e-6)


def test_a_coarse_id_stands_in_the_middle_of_its_places():
    coarse = build_real(lambda: GridIds(vocabulary=5, size=(2, 2), stride=2.0, positions=SinCos()).build(8))
    tokens = coarse(torch.zeros(1, 2, 2, dtype=torch.int64), None)
    assert tokens.tags.coords.tolist() == [[0.5, 0.5], [0.5, 2.5], [2.5, 0.5], [2.5, 2.5]]
    added = tokens.h[0] - coarse.table.weight[0]
    torch.testing.assert_close(added, sincos(tokens.tags.coords, 8, 10_000.0).to(added.dtype))
    with pytest.raises(FrisketError, match="stride = 0"):
        GridIds(stride=0.0)


def test_it_takes_the_facts_of_what_is_read():
    fitted = GridIds().fit(Spec(kind="ids", shape=(7,), vocabulary=9), 0)
    assert (fitted.vocabulary, fitted.size, fitted.shape) == (9, (7,), (7,))
    assert from_config(to_config(fitted)) == fitted
    with pytest.raises(FrisketError, match="embedder/grid-ids reads = 'continuous'"):
        GridIds().fit(Spec(kind="continuous", shape=(1, 2, 2)), None)


def test_every_parameter_has_a_law_and_a_row_of_words_is_a_grid():
    model = built(depth=2)
    assert set(marks_of(model)) == {name for name, _ in model.named_parameters()}
    words = build_real(lambda: GridIds(vocabulary=5, size=(4,)).build(8))
    assert words(torch.zeros(1, 4, dtype=torch.int64), None).h.shape == (1, 4, 8)
