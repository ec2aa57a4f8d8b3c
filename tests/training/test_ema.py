import math

import numpy as np
import pytest
import torch
from torch import nn

from frisket.core.errors import FrisketError
from frisket.training.ema import Averages, Fixed, Power, gamma_of, mixture, reconstruct


def moved(emas, positions, batch=4):
    """Averages after a one-number weight took `positions` one after the other; the first is the start."""
    p = nn.Parameter(torch.tensor([float(positions[0])]))
    averages = Averages(emas, {"p": p})
    for k, position in enumerate(positions[1:], 1):
        p.data.fill_(float(position))
        averages.update(k * batch, batch)
    return averages


def test_the_fixed_average_is_the_geometric_sum():
    values = [0.0, 3.0, -1.0, 2.0, 5.0]
    found = moved([Fixed(rate=0.8, warmup=1)], values).full("fixed-0.8")["p"]
    wanted = 0.8**4 * values[0] + sum(0.2 * 0.8 ** (4 - k) * values[k] for k in range(1, 5))
    assert found.item() == pytest.approx(wanted, rel=1e-6)


def test_the_warm_up_forgets_the_start_sooner():
    assert [Fixed(rate=0.99).decay(k * 8, 8) for k in (1, 2, 10)] == pytest.approx([2 / 11, 3 / 12, 11 / 20])
    assert Fixed(rate=0.99).decay(80000, 8) == 0.99


@pytest.mark.parametrize("width", [0.05, 0.1, 0.2])
def test_gamma_gives_the_profile_its_width(width):
    """The profile on [0, 1] has the mean (g + 1) / (g + 2) and the standard deviation asked for."""
    g = gamma_of(width)
    mean = (g + 1) / (g + 2)
    assert math.sqrt((g + 1) / (g + 3) - mean**2) == pytest.approx(width, rel=1e-9)
    assert gamma_of(0.05) == pytest.approx(16.97, abs=0.01)  # arXiv 2312.02696, section 3.1
    assert gamma_of(0.10) == pytest.approx(6.94, abs=0.01)


def test_a_power_average_of_a_straight_path_lies_at_the_profile_mean():
    g = gamma_of(0.1)
    found = moved([Power(width=0.1)], range(4001)).full("power-0.1")["p"].item()
    assert found / 4000 == pytest.approx((g + 1) / (g + 2), rel=1e-3)


def test_the_first_power_update_forgets_the_start():
    assert moved([Power(width=0.1)], [100.0, 7.0]).full("power-0.1")["p"].item() == 7.0


def test_several_averages_run_at_once_and_do_not_meet():
    path = np.sin(np.arange(30.0)).tolist()
    both = moved([Power(width=0.2), Fixed(rate=0.9)], path)
    for ema in (Power(width=0.2), Fixed(rate=0.9)):
        assert torch.equal(both.full(ema.label)["p"], moved([ema], path).full(ema.label)["p"])


def test_swapping_shows_the_average_and_restores_the_weights_bit_for_bit():
    averages = moved([Fixed(rate=0.5, warmup=1)], [0.0, 1.0, 1 / 3])
    p = averages.parameters["p"]
    before = p.detach().clone()
    with averages.swapped("fixed-0.5"):
        assert p.item() == pytest.approx(0.5 * (0.5 * 0.0 + 0.5 * 1.0) + 0.5 / 3)
    assert torch.equal(p.detach(), before)
    with pytest.raises(RuntimeError, match="inside"), averages.swapped("fixed-0.5"):
        raise RuntimeError("inside")
    assert torch.equal(p.detach(), before)


def test_state_comes_back_and_what_is_missing_is_named():
    averages = moved([Fixed(rate=0.5)], [0.0, 1.0, 2.0])
    other = moved([Fixed(rate=0.5)], [9.0])
    other.load(averages.state())
    assert torch.equal(other.full("fixed-0.5")["p"], averages.full("fixed-0.5")["p"])
    with pytest.raises(FrisketError, match=r"ema/power-0\.1/p"):
        moved([Power(width=0.1)], [0.0]).load(averages.state())


def test_low_precision_weights_are_averaged_in_float32():
    p = nn.Parameter(torch.ones(1, dtype=torch.bfloat16))
    averages = Averages([Fixed(rate=0.999, warmup=1)], {"p": p})
    p.data.fill_(2.0)
    for k in range(1, 101):
        averages.update(k, 1)
    assert averages.full("fixed-0.999")["p"].item() == pytest.approx(2 - 0.999**100, rel=1e-5)


def test_a_stored_average_is_its_own_mixture():
    held = [(t, g) for t in (0.25, 0.5, 0.75, 1.0) for g in (gamma_of(0.05), gamma_of(0.1))]
    factors = mixture(held, 1.0, 0.1)
    assert factors[-1] == pytest.approx(1.0, abs=1e-6)
    assert np.abs(factors[:-1]).max() < 1e-6


def test_a_reconstructed_average_is_near_the_one_that_was_not_tracked():
    """A bent path, two tracked widths stored eight times: another width is rebuilt ten times nearer than either."""
    steps, gammas = 800, {w: gamma_of(w) for w in (0.05, 0.1)}
    path = [math.sin(k / 130) + 0.2 * math.sin(k / 7) for k in range(steps + 1)]
    p = nn.Parameter(torch.tensor([path[0]]))
    averages = Averages([Power(width=w) for w in (0.05, 0.1, 0.15)], {"p": p})
    snapshots = []
    for k in range(1, steps + 1):
        p.data.fill_(path[k])
        averages.update(k, 1)
        if k % 100 == 0:
            snapshots += [(float(k), g, averages.full(f"power-{w:g}").copy()) for w, g in gammas.items()]
            snapshots = [(t, g, {n: v.clone() for n, v in s.items()}) for t, g, s in snapshots]
    wanted = averages.full("power-0.15")["p"].item()
    error = abs(reconstruct(snapshots, 0.15)["p"].item() - wanted)
    assert all(abs(averages.full(f"power-{w:g}")["p"].item() - wanted) > 10 * error for w in gammas)


def test_bad_numbers_are_refused_by_name():
    with pytest.raises(FrisketError, match=r"ema.rate = 1.0"):
        Fixed(rate=1.0)
    with pytest.raises(FrisketError, match=r"ema.width = 0.4"):
        Power(width=0.4)
    with pytest.raises(FrisketError, match="distinct labels"):
        Averages([Power(), Power()], {})
    with pytest.raises(FrisketError, match="at least two"):
        reconstruct([], 0.1)
