import torch

from frisket.processes.base import expand, mean_over


def test_expand_appends_axes():
    assert expand(torch.zeros(2), torch.zeros(2, 3, 4)).shape == (2, 1, 1)
    assert expand(torch.zeros(2, 1, 4), torch.zeros(2, 3, 4)).shape == (2, 1, 4)


def test_mean_over_counts_only_what_counts():
    values = torch.tensor([[[1.0, 2.0], [3.0, 10.0]], [[5.0, 5.0], [5.0, 5.0]]])
    counts = torch.tensor([[[True, False]], [[False, False]]])
    assert torch.equal(mean_over(values, counts), torch.tensor([2.0, 0.0]))
    assert torch.equal(mean_over(values, None), torch.tensor([4.0, 5.0]))
