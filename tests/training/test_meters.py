import pytest
import torch

from frisket.training.meters import Meters
from frisket.training.parallel import World

ALONE = World(0, 1, torch.device("cpu"))


def test_means_are_over_the_steps_in_which_a_name_was_seen():
    meters = Meters()
    for step in range(4):
        meters.add("loss", torch.tensor(1.0 + step) / 2)  # two micro-batches
        meters.add("loss", torch.tensor(1.0 + step) / 2)
        if step >= 2:
            meters.add("late", torch.tensor(3.0))
        meters.step()
    assert meters.means(ALONE) == {"loss": 2.5, "late": 3.0}
    assert meters.means(ALONE) == {}


def test_state_carries_an_open_interval():
    whole, first, second = Meters(), Meters(), Meters()
    for value in (0.1, 0.7):
        for meters in (whole, first):
            meters.add("loss", torch.tensor(value))
            meters.step()
    second.load(first.state(ALONE), ALONE)
    for meters in (whole, second):
        meters.add("loss", torch.tensor(0.3))
        meters.step()
    assert whole.means(ALONE) == second.means(ALONE)


def test_only_rank_zero_takes_the_saved_sums():
    meters = Meters()
    meters.load({"sums": {"loss": 2.0}, "counts": {"loss": 4}}, World(1, 2, torch.device("cpu")))
    assert meters.sums["loss"].item() == 0.0
    assert meters.counts == {"loss": 4}
    assert Meters().totals(ALONE) == {}
    with pytest.raises(KeyError):
        Meters().load({}, ALONE)
