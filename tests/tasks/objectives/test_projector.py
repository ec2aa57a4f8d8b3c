import pytest
import torch

from frisket.core.errors import FrisketError
from frisket.tasks.objectives.projector import Projector
from frisket.testing import check_config


def test_layers_sizes_and_counts():
    check_config(Projector())
    repa, head = Projector(), Projector(hidden=None, layers=2)
    assert repa.sizes(1152, 768) == (1152, 2048, 2048, 768)
    assert head.sizes(8, 8) == (8, 16, 8)
    assert head.parameters(8, 8) == 4 * 8**2 + 3 * 8
    module = head.build(8, 8)
    assert sum(p.numel() for p in module.parameters()) == head.parameters(8, 8)
    assert head.macs(8, 8) == 2 * 8 * 16
    h = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0))
    by_hand = module.layers[1](torch.nn.functional.silu(module.layers[0](h)))
    torch.testing.assert_close(module(h), by_hand)
    single = Projector(layers=1).build(8, 3)
    torch.testing.assert_close(single(h), single.layers[0](h))


@pytest.mark.parametrize(
    ("changes", "field"), [({"hidden": 0}, "projector.hidden"), ({"layers": 0}, "projector.layers")]
)
def test_bad_sizes_are_named(changes, field):
    with pytest.raises(FrisketError, match=field):
        Projector(**changes)
