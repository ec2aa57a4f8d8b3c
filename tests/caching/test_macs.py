from __future__ import annotations

import torch
from caching_fakes import LABEL, tiny
from torch import nn

from frisket.caching.macs import MacCounter
from frisket.core import Condition
from frisket.models.count import count_macs


def counted(call):
    with MacCounter() as counter:
        call()
    return counter.total


def test_each_kind_of_product():
    a, b = torch.ones(3, 4), torch.ones(4, 5)
    batch, other, bias = torch.ones(2, 3, 4), torch.ones(2, 4, 5), torch.zeros(5)
    for call in (
        lambda: a @ b, lambda: torch.mm(a, b), lambda: a.matmul(b), lambda: torch.addmm(bias, a, b),
        lambda: nn.functional.linear(a, b.T), lambda: nn.functional.linear(a, weight=b.T, bias=bias),
    ):  # fmt: skip
        assert counted(call) == 3 * 4 * 5
    assert counted(lambda: torch.bmm(batch, other)) == 2 * 3 * 4 * 5
    assert counted(lambda: torch.baddbmm(bias, batch, other)) == 2 * 3 * 4 * 5
    q, k, v = torch.ones(1, 2, 3, 4), torch.ones(1, 2, 5, 4), torch.ones(1, 2, 5, 6)
    assert counted(lambda: nn.functional.scaled_dot_product_attention(q, k, v)) == 2 * 3 * 5 * (4 + 6)
    assert counted(lambda: nn.Conv2d(3, 8, 2, stride=2)(torch.ones(1, 3, 4, 4))) == 8 * 4 * 3 * 4
    assert counted(lambda: a + 1) == 0


def test_a_whole_model_counts_as_below_the_dispatcher():
    model, x = tiny(), torch.ones(1, 1, 4, 4)
    given = Condition.of(**{LABEL.name: torch.zeros(1, dtype=torch.int64)})
    assert counted(lambda: model(x, torch.ones(1), given)) == count_macs(model, (1, 4, 4))


def test_counting_changes_no_number():
    model, x = tiny(), torch.randn(3, 1, 4, 4)
    given = Condition.of(label=torch.zeros(3, dtype=torch.int64))
    with torch.no_grad():
        plain = model(x, torch.ones(3), given).pred
        with MacCounter():
            assert torch.equal(model(x, torch.ones(3), given).pred, plain)
