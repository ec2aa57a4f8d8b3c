"""Isolated: the state looks at all, references at their own stream."""

import torch

from frisket.models.attend import attend
from frisket.models.masks.isolated import Isolated
from frisket.models.tokens import Tags
from frisket.testing import check_config


def test_who_may_look_at_whom():
    check_config(Isolated())
    tags = Tags(n=5, stream=torch.tensor([0, 0, 1, 1, 2]))
    g = torch.Generator().manual_seed(0)
    q, k = (torch.randn(1, 1, 5, 5, generator=g) for _ in range(2))
    weights = attend(q, k, torch.eye(5).view(1, 1, 5, 5), tags, tags, Isolated())[0, 0]
    seen = (weights > 0).int().tolist()
    assert seen == [[1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [0, 0, 1, 1, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 1]]
