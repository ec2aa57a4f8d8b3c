import pytest
import torch

from frisket.core import FrisketError, Step
from frisket.processes.shapes import Blobs, Strokes, _distance

STEP = Step(seed=0, sample=torch.arange(4))


def test_distance_to_a_piece():
    a, b = torch.tensor([[[0.0, 0.0]]]), torch.tensor([[[0.0, 4.0]]])
    d = _distance((3, 7), a, b)[0]
    assert torch.equal(d[:, 2], torch.tensor([0.0, 1.0, 2.0]))
    assert float(d[0, 6]) == 2
    assert float(d[2, 6]) == pytest.approx(8**0.5)


def test_a_thin_stroke_lies_within_a_thick_one():
    thin = Strokes(least=0.1, most=0.1).where((20, 20), STEP)
    thick = Strokes(least=0.4, most=0.4).where((20, 20), STEP)
    assert (thin <= thick).all()
    assert (thick.sum((1, 2)) == 160).all()


def test_larger_blobs_have_shorter_borders():
    def border(size):
        where = Blobs(size=size, least=0.5, most=0.5).where((32, 32), STEP)
        return float((where[:, 1:] != where[:, :-1]).float().mean())

    assert border(6.0) < border(2.0) < border(0.5)
    assert Blobs().where((40,), STEP).shape == (4, 40)
    assert Blobs().where((4, 6, 8), STEP).shape == (4, 4, 6, 8)


def test_strokes_need_two_axes():
    with pytest.raises(FrisketError, match="two axes"):
        Strokes().where((8,), STEP)
    with pytest.raises(FrisketError, match="turns"):
        Strokes(turns=0)
