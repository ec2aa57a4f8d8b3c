import pytest
import torch

from frisket.core import FrisketError
from frisket.data.scenes import draw, render_table
from frisket.data.scenes.palette import NAMES, SIZE, nearest, paint
from frisket.data.scenes.vocabulary import COLOUR_RGB


def test_painting_and_naming_are_inverse():
    ids = torch.arange(SIZE).view(1, 4, 4)
    assert torch.equal(nearest(paint(ids)), ids)
    torch.testing.assert_close(paint(ids)[0, :, 1, 2], torch.tensor(COLOUR_RGB[0]))
    assert NAMES[6] == "red"


def test_the_palette_view_paints_what_is_seen():
    table = draw(0, torch.arange(30), "train")
    ids = render_table(table, (8, 8), ("palette",))["palette"]
    assert ids.max() < SIZE
    far = (paint(ids) - render_table(table, (8, 8))["rgb"]).abs().mean()
    assert far < 0.6 * (paint(ids[torch.randperm(30, generator=torch.Generator().manual_seed(0))])
                        - render_table(table, (8, 8))["rgb"]).abs().mean()  # fmt: skip


def test_ids_outside_the_palette_are_refused():
    with pytest.raises(FrisketError, match="palette ids"):
        paint(torch.tensor([[16]]))
