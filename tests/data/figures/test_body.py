"""Limbs: where they are, how far a point is from them, and the cloth's own coordinates."""

import math

import pytest
import torch

from frisket.data.figures.body import LIMBS, POSE, TORSO, Capsules, distance, fabric, laid_flat, skeleton, stretched

STRAIGHT = {name: torch.zeros(1, dtype=torch.float64) for name in POSE}


def one(start, end, radius):
    point = [torch.tensor([[p]], dtype=torch.float64) for p in (start, end)]
    return Capsules(start=point[0], end=point[1], radius=torch.tensor([radius], dtype=torch.float64))


@pytest.mark.parametrize(("x", "y", "wanted"), [(0.0, 0.0, -0.1), (0.3, 0.0, 0.2), (0.0, 0.9, 0.3), (0.3, 0.9, 0.4)])
def test_distance_is_to_the_nearest_point_of_the_segment_less_the_radius(x, y, wanted):
    limb = one((0.0, -0.5), (0.0, 0.5), 0.1)
    assert distance(limb, torch.tensor([x]), torch.tensor([y])).item() == pytest.approx(wanted, abs=1e-6)


def test_fabric_runs_along_the_limb_and_across_it():
    limb = one((0.1, 0.2), (0.1, 0.7), 0.1)  # straight down
    across, along = fabric(limb, torch.tensor([0.15]), torch.tensor([0.6])).flatten().tolist()
    assert along == pytest.approx(0.4, abs=1e-6)
    assert abs(across) == pytest.approx(0.05, abs=1e-6)


def test_cloth_turns_with_its_limb():
    turn = 0.7
    end = (0.1 + 0.5 * math.sin(turn), 0.2 + 0.5 * math.cos(turn))
    point = (0.1 + 0.3 * math.sin(turn), 0.2 + 0.3 * math.cos(turn))
    straight = fabric(one((0.1, 0.2), (0.1, 0.7), 0.1), torch.tensor([0.1]), torch.tensor([0.5]))
    turned = fabric(one((0.1, 0.2), end, 0.1), torch.tensor([point[0]]), torch.tensor([point[1]]))
    assert torch.allclose(straight, turned, atol=1e-6)


def test_a_straight_figure_is_its_own_mirror_image():
    limbs = skeleton(STRAIGHT)
    for side in ("upper arm", "forearm", "leg"):
        left, right = (LIMBS.index(f"{s} {side}") for s in ("left", "right"))
        mirrored = limbs.end[:, right] * torch.tensor([-1.0, 1.0], dtype=torch.float64)
        assert torch.allclose(limbs.end[:, left], mirrored)


def test_forearms_begin_where_upper_arms_end():
    pose = {name: torch.full((1,), 0.3, dtype=torch.float64) for name in POSE}
    limbs = skeleton(pose)
    for side in ("left", "right"):
        upper, fore = LIMBS.index(f"{side} upper arm"), LIMBS.index(f"{side} forearm")
        assert torch.equal(limbs.end[:, upper], limbs.start[:, fore])


def test_a_garment_on_the_table_is_centred_and_the_same_for_all():
    limbs = laid_flat(3)
    assert torch.allclose(limbs.start[:, TORSO] + limbs.end[:, TORSO], torch.zeros(3, 2, dtype=torch.float64))
    assert torch.equal(limbs.end[0], limbs.end[2])


def test_stretching_moves_the_far_end_alone():
    limb = one((0.0, 0.0), (0.0, 1.0), 0.1)
    half = stretched(limb, torch.tensor([[0.5]], dtype=torch.float64))
    assert half.end.flatten().tolist() == [0.0, 0.5]
    assert torch.equal(half.start, limb.start)
