import torch

from frisket.processes.hidden_weights import Bound, Everywhere, PerHidden, Plain
from frisket.processes.schedules import Polynomial

HIDDEN = torch.tensor([[True, True, False, False], [True, False, False, False]])
COUNTS = torch.tensor([[True, True, True, True], [True, True, False, False]])
T = torch.tensor([0.5, 0.25])


def test_bound_is_rate_over_hidden_also_for_one_time_an_element():
    schedule = Polynomial(power=2.0)
    assert torch.allclose(Bound().on(schedule, T, HIDDEN, COUNTS), torch.tensor([[4.0], [8.0]]))
    each = T[:, None].expand(2, 4)
    assert torch.allclose(Bound().on(schedule, each, HIDDEN, COUNTS)[:, 0], torch.tensor([4.0, 8.0]))


def test_per_hidden_turns_the_mean_over_all_into_one_over_the_hidden():
    values = torch.rand(2, 4, generator=torch.Generator().manual_seed(0)) * HIDDEN
    weight = PerHidden().on(Polynomial(), T, HIDDEN, COUNTS)
    mean = (values * weight * COUNTS).sum(1) / COUNTS.sum(1)
    wanted = torch.stack([values[i][HIDDEN[i]].mean() for i in range(2)])
    assert torch.allclose(mean, wanted)


def test_plain_is_one():
    assert torch.equal(Plain().on(Polynomial(), T, HIDDEN, COUNTS) * HIDDEN, HIDDEN.float())


def test_everywhere_is_one_and_asks_for_visible_elements_too():
    assert torch.equal(Everywhere().on(Polynomial(), T, HIDDEN, COUNTS) * HIDDEN, HIDDEN.float())
    assert [w.everywhere for w in (Bound(), Plain(), PerHidden(), Everywhere())] == [False, False, False, True]
