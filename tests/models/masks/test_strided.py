import pytest
import torch

from frisket.core import FrisketError
from frisket.models.grid import Grid
from frisket.models.masks.base import View
from frisket.models.masks.local import Partition
from frisket.models.masks.strided import Strided
from frisket.models.tokens import Tags


def table(mask, axes=(4, 4)):
    grid = Grid.of(axes)
    tags = Tags(n=grid.tokens, coords=grid.coords())
    at = torch.arange(grid.tokens)
    return mask.allowed(View(tags, torch.tensor(0), at[:, None]), View(tags, torch.tensor(0), at[None, :]))


def test_keys_stand_a_whole_number_of_strides_away():
    allowed = table(Strided(stride=2))
    assert allowed[0].nonzero().flatten().tolist() == [0, 2, 8, 10]
    assert (allowed.sum(1) == 4).all()
    assert torch.equal(allowed, allowed.T)
    assert table(Strided(stride=1)).all()
    assert torch.equal(table(Strided(stride=4)), torch.eye(16, dtype=torch.bool))


def test_with_boxes_of_its_stride_everything_is_two_looks_away():
    near, far = table(Partition(size=2.0)).float(), table(Strided(stride=2)).float()
    assert ((near @ far) == 1).all()


def test_it_needs_places():
    with pytest.raises(FrisketError, match="tokens with coords"):
        tags = Tags(n=2)
        Strided().allowed(View(tags, torch.tensor(0), torch.arange(2)), View(tags, torch.tensor(0), torch.arange(2)))
    with pytest.raises(FrisketError, match="stride = 0"):
        Strided(stride=0)
