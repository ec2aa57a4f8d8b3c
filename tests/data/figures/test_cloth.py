"""Garments: splits share no combination, patterns are what they are called."""

import torch

from frisket.data.figures.cloth import PATTERNS, combinations, draw_garments, paint
from frisket.data.scenes.vocabulary import COLOUR_RGB


def garment(pattern, colours=(0, 2), cycles=4.0):
    return {
        "colours": torch.tensor([colours]), "pattern": torch.tensor([PATTERNS.index(pattern)]),
        "sleeves": torch.tensor([1]), "cycles": torch.tensor([cycles], dtype=torch.float64),
    }  # fmt: skip


def places(n=64):
    line = torch.linspace(-0.5, 0.5, n)
    across, along = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([across, along], -1)[None, None]  # (1, 1, n, n, 2): rows across, columns along


def test_every_combination_is_in_one_split():
    train, test = ({tuple(c) for c in combinations(s).tolist()} for s in ("train", "test"))
    assert not train & test
    assert len(train | test) == 10 + 10 * 9 * 4
    assert 0.1 < len(test) / len(train | test) < 0.3
    assert {p for _, _, p in test} == set(range(len(PATTERNS)))


def test_drawn_garments_belong_to_their_split():
    u = torch.rand(200, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for split in ("train", "test"):
        drawn = draw_garments(u, split)
        held = {tuple(c) for c in combinations(split).tolist()}
        rows = torch.cat([drawn["colours"], drawn["pattern"][:, None]], 1).tolist()
        assert {tuple(r) for r in rows} <= held


def test_a_hoop_changes_along_and_a_pinstripe_across():
    hoops, stripes = (paint(garment(name), places())[0, 0] for name in ("hooped", "pinstriped"))
    assert hoops.std(-1).max() > 0.1
    assert hoops.std(-2).max() < 1e-6
    assert stripes.std(-2).max() > 0.1
    assert stripes.std(-1).max() < 1e-6


def test_a_plain_garment_is_one_colour():
    cloth = paint(garment("plain", (3, 3)), places())[0, 0]
    assert torch.allclose(cloth, torch.tensor(COLOUR_RGB[3]).view(3, 1, 1).expand_as(cloth))


def test_both_colours_show_in_every_pattern():
    for name in PATTERNS[1:]:
        cloth = paint(garment(name), places())[0, 0].flatten(1).T
        for colour in (0, 2):
            assert (cloth - torch.tensor(COLOUR_RGB[colour])).abs().sum(1).min() < 1e-5
