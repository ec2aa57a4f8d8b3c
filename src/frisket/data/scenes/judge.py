"""Two readers of scenes, `guide` and `score`: what is optimised against one is scored by the other.

A reader is a small convolutional network that sees one window of an image (resampled to 16x16) and names class and
colour of the object in it, or "none". The two are trained on scenes of different seeds whose handwritten digits come
from disjoint halves of the training split, so neither has seen the other's digits nor any test digit. A reader is
trained on first use (300 steps, about half a minute of one core) and kept as plain arrays in the cache folder.
Shapes: b images, k objects, m windows, h w pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from frisket.core import random
from frisket.core.config import digest
from frisket.core.errors import check
from frisket.core.registry import register
from frisket.data.scenes.draw import Dial, draw
from frisket.data.scenes.outlines import instances, outlines
from frisket.data.scenes.render import render_table
from frisket.data.scenes.scene import Scene
from frisket.data.scenes.store import Arrays, stored
from frisket.data.scenes.table import Table, table_of
from frisket.data.scenes.vocabulary import CLASSES, COLOURS, PLACES, SIZES
from frisket.data.scenes.words import Statement

Role = Literal["guide", "score"]
WINDOW = 16  # pixels of a window's side
REACH = 1.25  # half-side of a window, in sizes of its object
SCENES = 80
NONE = len(CLASSES)
WIDTHS = {"conv1": (24, 3, 3, 3), "conv2": (48, 24, 3, 3), "hidden": (160, 768), "head": (NONE + 1 + len(COLOURS), 160)}


@register("judge/scenes")
@dataclass(frozen=True, kw_only=True)
class Judge:
    """role: "guide" may be optimised against, "score" only scores. steps: of training, on `SCENES` scenes each."""

    role: Role = "score"
    steps: int = 300
    seed: int = 0

    def __post_init__(self):
        check(self.role in ("guide", "score"), "judge.role", self.role, "'guide' or 'score'")
        check(self.steps >= 1, "judge.steps", self.steps, "at least 1")

    def build(self) -> Reader:
        """The trained reader, from the cache folder if it was trained before. The same config trains the same way."""
        recipe = f"scenes judge 1 {digest(self)} {outlines().digest}"
        held = stored(f"judge-{self.role}", recipe, lambda: _train(self))
        reader = Reader(self)
        reader.load_state_dict({name: torch.from_numpy(v) for name, v in held.items()})
        return reader.eval().requires_grad_(False)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a reader saw where each object should be. All (b, k); entries of absent objects are False.

    present: there is an object to be judged. same_class, same_colour: the most likely name is the right one.
    likely: probability of right class times probability of right colour (differentiable in the image).
    """

    present: Tensor
    same_class: Tensor
    same_colour: Tensor
    likely: Tensor

    @property
    def agreement(self) -> Float[Tensor, "b"]:
        """Share of the objects of each image with right class and right colour; 1 for a scene without objects."""
        right = (self.same_class & self.same_colour & self.present).sum(1)
        count = self.present.sum(1)
        return torch.where(count > 0, right / count.clamp(min=1), torch.ones_like(count, dtype=torch.float32))


class Reader(nn.Module):
    """The network of a `Judge`. Its weights start from the config's seed, not from a global generator."""

    conv1_weight: Tensor
    conv1_bias: Tensor
    conv2_weight: Tensor
    conv2_bias: Tensor
    hidden_weight: Tensor
    hidden_bias: Tensor
    head_weight: Tensor
    head_bias: Tensor

    def __init__(self, config: Judge):
        super().__init__()
        self.config = config
        for i, (name, shape) in enumerate(WIDTHS.items()):
            key = random.key(config.seed, torch.arange(shape[0]), random.hash_text(f"judge/{config.role}"), i)
            fan = int(np.prod(shape[1:]))
            weight = random.normal(key, fan).view(shape).float() * (2 / fan) ** 0.5
            self.register_parameter(f"{name}_weight", nn.Parameter(weight))
            self.register_parameter(f"{name}_bias", nn.Parameter(torch.zeros(shape[0])))

    def forward(self, windows: Float[Tensor, "m 3 16 16"]) -> tuple[Tensor, Tensor]:
        """Logits of class (m, 21; the last is "none") and of colour (m, 10)."""
        h = F.max_pool2d(F.relu(F.conv2d(2 * windows - 1, self.conv1_weight, self.conv1_bias, padding=1)), 2)
        h = F.max_pool2d(F.relu(F.conv2d(h, self.conv2_weight, self.conv2_bias, padding=1)), 2)
        h = F.relu(F.linear(h.flatten(1), self.hidden_weight, self.hidden_bias))
        out = F.linear(h, self.head_weight, self.head_bias)
        return out[:, : NONE + 1], out[:, NONE + 1 :]

    def judge(self, images: Float[Tensor, "b 3 h w"], table: Table) -> Verdict:
        """Read each image where the objects of its scene stand. Objects that nearer ones hide are judged all the same:
        compare with the verdict on the true images."""
        o, (b, k) = table.objects, table.present.shape
        spots = torch.stack([o["x"], o["y"], o["size"]], -1).float()
        names, colours = self(windows_of(images, spots).flatten(0, 1))
        names, colours = names.view(b, k, -1), colours.view(b, k, -1)
        likely = _at(names.softmax(-1), o["label"]) * _at(colours.softmax(-1), o["colour"])
        return Verdict(
            present=table.present, same_class=(names.argmax(-1) == o["label"]) & table.present,
            same_colour=(colours.argmax(-1) == o["colour"]) & table.present, likely=likely * table.present,
        )  # fmt: skip

    def find(self, images: Float[Tensor, "b 3 h w"], statements: Sequence[Statement]) -> list[list[float]]:
        """For each object that a caption names: the largest probability of its class and colour over all windows at the
        stated place and of the stated size. Where the caption is silent, anything agrees. Two objects said in the same
        words are not told apart."""
        check(len(images) == len(statements), "statements", len(statements), f"one an image ({len(images)})")
        half_y, half_x = (s / min(images.shape[2:]) / 2 for s in images.shape[2:])
        spots, places, sizes = _lattice(half_x, half_y)
        out = []
        for image, statement in zip(images, statements, strict=True):
            names, colours = self(windows_of(image[None], spots[None])[0])
            names, colours = names.softmax(-1), colours.softmax(-1)
            row = []
            for said in statement.objects:
                p = names[:, CLASSES.index(said.name)]
                p = p * colours[:, COLOURS.index(said.colour)] if said.colour else p
                p = p * (places == PLACES.index(said.place)) if said.place else p
                p = p * ((sizes - SIZES.index(said.size)).abs() < 1) if said.size else p
                row.append(float(p.max()))
            out.append(row)
        return out


@cache
def reader(role: Role = "score") -> Reader:
    """The reader of a role with the house settings."""
    return Judge(role=role).build()


def judge(image: Float[Tensor, "3 h w"], scene: Scene, role: Role = "score") -> Verdict:
    """Does `image` show the objects of `scene`, class and colour, where they should be?"""
    check(image.ndim == 3 and image.shape[0] == 3, "image", tuple(image.shape), "of shape (3, h, w)")
    return reader(role).judge(image[None], table_of([scene]))


def windows_of(images: Float[Tensor, "b 3 h w"], spots: Float[Tensor, "b k 3"]) -> Float[Tensor, "b k 3 16 16"]:
    """Square windows about (x, y, size), resampled bilinearly; beyond the frame its border is repeated."""
    (b, k, _), (h, w) = spots.shape, images.shape[2:]
    t = (torch.arange(WINDOW) + 0.5) * 2 / WINDOW - 1
    x = (spots[..., 0, None] + REACH * spots[..., 2, None] * t) * 2 * min(h, w) / w
    y = (spots[..., 1, None] + REACH * spots[..., 2, None] * t) * 2 * min(h, w) / h
    shape = (b, k, WINDOW, WINDOW)
    grid = torch.stack([x[:, :, None, :].expand(shape), y[:, :, :, None].expand(shape)], -1)
    out = F.grid_sample(images, grid.flatten(1, 2), mode="bilinear", padding_mode="border", align_corners=False)
    return out.view(b, 3, k, WINDOW, WINDOW).transpose(1, 2)


def _at(p: Tensor, index: Tensor) -> Tensor:
    return p.gather(-1, index[..., None])[..., 0]


def _lattice(half_x: float, half_y: float) -> tuple[Tensor, Tensor, Tensor]:
    """Windows to search: 9x9 centres and some sizes as (m, 3), the place and the size word of each."""
    u = (torch.arange(9) + 0.5) / 9
    radii, words = torch.tensor([0.14, 0.18, 0.22, 0.28, 0.34]), torch.tensor([0, 1, 2, 2, 2])
    y, x, size = torch.meshgrid((2 * u - 1) * half_y, (2 * u - 1) * half_x, radii, indexing="ij")
    place = (torch.arange(9) // 3)[:, None, None] * 3 + (torch.arange(9) // 3)[None, :, None]
    spots = torch.stack([x, y, size], -1).flatten(0, 2)
    shape = (9, 9, len(radii))
    return spots, place.expand(shape).flatten(), words.expand(shape).flatten()


def _halved(table: Table, role: Role) -> Table:
    """The scenes with every digit replaced by one from the half of the training digits that belongs to `role`."""
    out = table.objects["instance"].clone()
    for digit, ids in enumerate(instances("train")):
        own = ids[("guide", "score").index(role) :: 2]
        where = table.objects["label"] == digit
        out[where] = own[out[where] % len(own)]
    return replace(table, objects=table.objects | {"instance": out})


def _lesson(config: Judge, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Windows (m, 3, 16, 16), classes (m,), colours (m,; -100 for "none") of one step."""
    ids = torch.arange(SCENES) + SCENES * step
    dial = Dial(objects=(2, 3), palette=len(COLOURS), kinds=("digit", "digit", "shape"))  # digits are the harder half
    table = _halved(draw(random.hash_text(f"judge/{config.role}/{config.seed}"), ids, "train", dial), config.role)
    shown = render_table(table, (32, 32), ("rgb",))["rgb"]
    o, (b, k) = table.objects, table.present.shape
    u = random.uniform(random.key(config.seed, ids, random.hash_text("judge/jitter")), 3 * (k + 1)).view(b, k + 1, 3)
    at = torch.stack([o["x"], o["y"], o["size"]], -1)
    jitter = 2 * u[:, :k] - 1
    near = torch.cat(
        [at[..., :2] + 0.15 * at[..., 2:] * jitter[..., :2], at[..., 2:] * (1 + 0.15 * jitter[..., 2:])], -1
    )
    away = torch.cat([u[:, k:, :2] - 0.5, 0.12 + 0.12 * u[:, k:, 2:]], -1)
    far = (away[..., :2] - at[..., :2]).norm(dim=-1) > 0.8 * at[..., 2]  # off every object's middle: nothing there
    clear = (far | ~table.present).all(1, keepdim=True)
    use = torch.cat([table.present, clear], 1)
    windows = windows_of(shown, torch.cat([near, away], 1).float())[use]
    none = torch.full((b, 1), NONE)
    return windows, torch.cat([o["label"], none], 1)[use], torch.cat([o["colour"], none * 0 - 100], 1)[use]


def _train(config: Judge) -> Arrays:
    net = Reader(config)

    def loss(step: int) -> Tensor:
        windows, label, colour = _lesson(config, step)
        names, colours = net(windows)
        return F.cross_entropy(names, label) + F.cross_entropy(colours, colour)

    return taught(net, loss, config.steps)


def taught(net: nn.Module, loss_of: Callable[[int], Float[Tensor, ""]], steps: int) -> Arrays:
    """The weights of a reader after `steps` lessons. loss_of: of the lesson of a step."""
    optimiser = torch.optim.Adam(net.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=4e-3, total_steps=steps + 1)
    for step in range(steps):
        loss = loss_of(step)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return {name: v.detach().numpy() for name, v in net.state_dict().items()}
