"""A figure's limbs as capsules, from a few angles: forward kinematics in the plane.

Coordinates: x to the right, y down, the frame's height is 1 and (0, 0) its centre. A capsule is all points within
`radius` of a segment. Each carries the fabric frame of a garment worn on it: along the segment, and across.
Shapes: b figures, k limbs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

LIMBS = (
    "left leg", "right leg", "left foot", "right foot", "torso", "left upper arm", "left forearm", "right upper arm",
    "right forearm", "neck", "head",
)  # fmt: skip
RADII = (0.050, 0.050, 0.040, 0.040, 0.095, 0.042, 0.036, 0.042, 0.036, 0.032, 0.085)
TORSO, ARMS, FOREARMS, LEGS, FEET, HEAD = 4, (5, 7), (6, 8), (0, 1), (2, 3), 10
POSE = ("lean", "left arm", "left elbow", "right arm", "right elbow", "stride", "sway")


@dataclass(frozen=True, kw_only=True)
class Capsules:
    """start, end: float64 (b, k, 2). radius: (k,)."""

    start: Float[Tensor, "b k 2"]
    end: Float[Tensor, "b k 2"]
    radius: Float[Tensor, "k"]

    def rows(self, chosen: tuple[int, ...]) -> Capsules:
        """Some of the limbs."""
        index = list(chosen)
        return Capsules(start=self.start[:, index], end=self.end[:, index], radius=self.radius[index])


def skeleton(pose: Mapping[str, Float[Tensor, "b"]]) -> Capsules:
    """The limbs of figures in a pose. Angles in radians: lean of the torso from upright; an arm from hanging straight
    down, outwards; an elbow further outwards; stride of both legs; sway: shift of the hips, in heights."""
    lean, sway = pose["lean"], pose["sway"]
    hip = torch.stack([sway, torch.full_like(sway, 0.07)], -1)
    up = torch.stack([lean.sin(), -lean.cos()], -1)
    side = torch.stack([lean.cos(), lean.sin()], -1)
    neck = hip + 0.25 * up
    ends = {"torso": (hip, hip + 0.19 * up), "neck": (neck, neck + 0.05 * up)}
    ends["head"] = (neck + 0.105 * up, neck + 0.125 * up)
    for name, sign in (("left", -1.0), ("right", 1.0)):
        shoulder = hip + 0.215 * up + sign * 0.095 * side
        at = sign * pose[f"{name} arm"] + lean
        elbow = shoulder + 0.125 * _down(at)
        ends[f"{name} upper arm"] = (shoulder, elbow)
        ends[f"{name} forearm"] = (elbow, elbow + 0.115 * _down(at + sign * pose[f"{name} elbow"]))
        top = hip + sign * torch.tensor([0.048, 0.0], dtype=hip.dtype)
        foot = top + 0.335 * _down(sign * pose["stride"])
        ends[f"{name} leg"] = (top, foot)
        ends[f"{name} foot"] = (foot, foot + sign * torch.tensor([0.035, 0.0], dtype=hip.dtype))
    start, end = (torch.stack([ends[name][i] for name in LIMBS], 1) for i in (0, 1))
    return Capsules(start=start, end=end, radius=torch.tensor(RADII, dtype=torch.float64))


def laid_flat(count: int) -> Capsules:
    """The limbs of a garment on a table: upright, centred, sleeves spread evenly; the same for every figure."""
    zero = torch.zeros(count, dtype=torch.float64)
    pose = dict.fromkeys(POSE, zero) | {"left arm": zero + 0.9, "right arm": zero + 0.9}
    limbs = skeleton(pose)
    middle = (limbs.start[:, TORSO] + limbs.end[:, TORSO])[:, None] / 2
    return Capsules(start=limbs.start - middle, end=limbs.end - middle, radius=limbs.radius)


def distance(limbs: Capsules, x: Float[Tensor, "w"], y: Float[Tensor, "h"]) -> Float[Tensor, "b k h w"]:
    """Signed distance of pixel centres to each capsule, negative inside, in heights."""
    point, axis = _relative(limbs, x, y), (limbs.end - limbs.start).to(x.dtype)
    along = (point * axis[:, :, None, None]).sum(-1) / axis.square().sum(-1)[..., None, None]
    nearest = along.clamp(0, 1)[..., None] * axis[:, :, None, None]
    return (point - nearest).square().sum(-1).sqrt() - limbs.radius.to(x.dtype)[:, None, None]


def fabric(limbs: Capsules, x: Float[Tensor, "w"], y: Float[Tensor, "h"]) -> Float[Tensor, "b k h w 2"]:
    """Place on the cloth of each limb: across the limb and along it from its start, in heights."""
    point, axis = _relative(limbs, x, y), (limbs.end - limbs.start).to(x.dtype)
    unit = (axis / axis.square().sum(-1, keepdim=True).sqrt())[:, :, None, None]
    along = (point * unit).sum(-1)
    across = point[..., 1] * unit[..., 0] - point[..., 0] * unit[..., 1]
    return torch.stack([across, along], -1)


def _relative(limbs: Capsules, x: Tensor, y: Tensor) -> Tensor:
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)  # (h, w, 2)
    return grid - limbs.start.to(x.dtype)[:, :, None, None]


def _down(angle: Tensor) -> Tensor:
    return torch.stack([angle.sin(), angle.cos()], -1)


def stretched(limbs: Capsules, by: Float[Tensor, "b k"]) -> Capsules:
    """The limbs with their far end moved: 0.5 keeps the half at the start (short sleeves)."""
    return Capsules(start=limbs.start, end=limbs.start + by[..., None] * (limbs.end - limbs.start), radius=limbs.radius)
