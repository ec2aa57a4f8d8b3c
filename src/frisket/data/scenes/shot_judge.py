"""A reader of shots: what a short clip shows, in the words of a story's captions and of what its captions leave out.

A small convolutional network sees all frames of one shot and names size, direction and light (which captions say) and
colour and ground (which they do not: with them the character is told from others). It is trained on unrelated shots of
another seed, on first use (a few seconds), and kept as plain arrays in the cache folder.
Shapes: m clips, f frames, h w pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from frisket.core import random
from frisket.core.config import digest
from frisket.core.errors import check
from frisket.core.registry import register
from frisket.data.scenes.judge import taught
from frisket.data.scenes.outlines import outlines
from frisket.data.scenes.store import Arrays, stored
from frisket.data.scenes.stories import KEPT, SAID, NewCharacters, Stories

NAMES = SAID | KEPT
STORIES = 24  # of three shots, a step


@register("judge/shots")
@dataclass(frozen=True, kw_only=True)
class ShotJudge:
    """stories: whose shots are read; only their size, frames, stride and dial count. steps: of training."""

    stories: Stories = Stories()
    steps: int = 150
    seed: int = 0

    def __post_init__(self):
        check(self.steps >= 1, "judge.steps", self.steps, "at least 1")

    def build(self) -> ShotReader:
        """The trained reader, from the cache folder if it was trained before. The same config trains the same way."""
        own = replace(self.stories, shots=3, cast=NewCharacters(), seed=random.hash_text(f"judge/shots/{self.seed}"))
        recipe = f"shot judge 1 {digest(own)} {self.steps} {self.seed} {outlines().digest}"
        held = stored("judge-shots", recipe, lambda: _train(ShotReader(own), own, self.steps))
        reader = ShotReader(own)
        reader.load_state_dict({name: torch.from_numpy(v) for name, v in held.items()})
        return reader.eval().requires_grad_(False)


class ShotReader(nn.Module):
    """The network of a `ShotJudge`. Its weights start from the stories' seed, not from a global generator."""

    def __init__(self, stories: Stories):
        super().__init__()
        self.frames, (h, w) = stories.frames, stories.size
        self.near = nn.Conv2d(3 * self.frames, 32, 3, padding=1)
        self.far = nn.Conv2d(32, 48, 3, padding=1)
        self.hidden = nn.Linear(48 * (h // 4) * (w // 4), 128)
        self.head = nn.Linear(128, sum(map(len, NAMES.values())))
        for i, (name, value) in enumerate(self.named_parameters()):
            with torch.no_grad():
                if value.ndim == 1:
                    value.zero_()
                    continue
                key = random.key(stories.seed, torch.zeros(1, dtype=torch.int64), random.hash_text(name), i)
                fan = value[0].numel()
                value.copy_(random.normal(key, value.numel()).view(value.shape) * (2 / fan) ** 0.5)

    def forward(self, clips: Float[Tensor, "m 3 f h w"]) -> dict[str, Tensor]:
        """Logits of every name: `SAID` and `KEPT`."""
        check(clips.shape[2] == self.frames, "frames of a shot", clips.shape[2], str(self.frames))
        h = F.max_pool2d(F.relu(self.near(2 * clips.flatten(1, 2) - 1)), 2)
        h = F.max_pool2d(F.relu(self.far(h)), 2)
        out = self.head(F.relu(self.hidden(h.flatten(1)))).split([len(words) for words in NAMES.values()], 1)
        return dict(zip(NAMES, out, strict=True))

    def probabilities(self, clips: Float[Tensor, "m 3 f h w"]) -> dict[str, Tensor]:
        """Of every name, (m, number of its words)."""
        with torch.no_grad():
            return {name: logits.softmax(-1) for name, logits in self(clips).items()}


@cache
def shot_reader(stories: Stories) -> ShotReader:
    """The reader of such stories' shots with the house settings."""
    return ShotJudge(stories=replace(stories, shots=3, seed=0, cast=NewCharacters())).build()


def _train(net: ShotReader, stories: Stories, steps: int) -> Arrays:
    source = stories.open("train")

    def loss(step: int) -> Tensor:
        batch = source.batch(torch.arange(STORIES) + STORIES * step)
        clips = batch["x"].unflatten(2, (stories.shots, stories.frames)).transpose(1, 2).flatten(0, 1)
        return torch.stack([F.cross_entropy(v, batch[n].flatten()) for n, v in net(clips).items()]).sum()

    return taught(net, loss, steps)
