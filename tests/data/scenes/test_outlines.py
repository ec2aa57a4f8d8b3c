import numpy as np
import pytest
import torch

from frisket.data.digits import _load
from frisket.data.scenes.coverage import coverage
from frisket.data.scenes.outlines import _trace_all, instances, outlines
from frisket.data.scenes.vocabulary import SHAPES


def area(which):
    edges, _ = outlines().gather(torch.tensor([which]))
    x0, y0, x1, y1 = edges.double().unbind(1)
    return ((x0 + x1) / 2 * (y0 - y1)).sum().item()


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ("circle", np.pi), ("square", 4.0), ("ring", np.pi * (1 - 0.55**2)),
        ("cross", 4 - 4 * 0.64**2), ("arrow", 1.1 * 0.6 + 0.9 * 0.85),
    ],
)  # fmt: skip
def test_shapes_have_their_area(shape, wanted):
    assert area(SHAPES.index(shape)) == pytest.approx(wanted, rel=0.01)


def test_loops_close_and_fill_the_box():
    o = outlines()
    assert len(o.count) == 10 + 1797
    for which in (*range(10), 10, 500, 1806):
        edges, owner = o.gather(torch.tensor([which]))
        assert not owner.any()
        assert edges.abs().max() == pytest.approx(1.0, abs=2e-3)
        ends = sorted(map(tuple, edges[:, 2:].tolist()))
        assert sorted(map(tuple, edges[:, :2].tolist())) == ends  # every vertex is entered once and left once


def test_digits_look_like_their_images():
    """The outline, drawn at 8x8 in the place it was traced, correlates with the scan."""
    images, labels = _load()
    assert torch.equal(outlines().labels, torch.from_numpy(labels))
    edges, owner = outlines().gather(torch.arange(10, 10 + 300))
    fields = coverage(edges * 4 + 4, owner, 300, (8, 8))
    fit = [np.corrcoef(f.flatten(), image.flatten())[0, 1] for f, image in zip(fields.numpy(), images, strict=False)]
    assert np.median(fit) > 0.75
    assert np.min(fit) > 0.2


def test_gather_names_the_owner_of_every_edge():
    o = outlines()
    edges, owner = o.gather(torch.tensor([1, 700, 1]))
    assert owner.bincount().tolist() == o.count[[1, 700, 1]].tolist()
    assert torch.equal(edges[owner == 0], edges[owner == 2])


def test_splits_share_no_digit_and_every_class_has_both():
    train, test = (torch.cat(instances(split)).tolist() for split in ("train", "test"))
    assert not set(train) & set(test)
    assert len(set(train) | set(test)) == 1797
    for digit in range(10):
        assert (outlines().labels[instances("test")[digit]] == digit).all()
        assert len(instances("test")[digit]) > 20


def test_tracing_gives_what_the_cache_holds():
    made = _trace_all()
    assert made["count"].sum() == len(made["edges"]) == len(outlines().edges)
    assert torch.equal(torch.from_numpy(made["edges"]).float() / 4096, outlines().edges)
