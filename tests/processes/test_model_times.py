import math

import torch

from frisket.processes.levels import VE
from frisket.processes.model_times import LogSNR, Reversed, Thousand, Unit
from frisket.processes.paths import Flow
from frisket.processes.schedules import Linear

T = torch.tensor([0.0, 0.001, 0.25, 1.0], dtype=torch.float64)


def test_values():
    assert torch.equal(Unit().of(T, Flow()), T.float())
    assert torch.equal(Thousand().of(T, Flow()), torch.tensor([0.0, 0.0, 249.0, 999.0]))
    assert torch.equal(Reversed().of(T, Flow()), 1 - T.float())


def test_every_discrete_index_comes_out_exactly_even_from_float32():
    i = torch.arange(1000)
    assert torch.equal(Thousand().of((i + 1) / torch.tensor(1000.0), Flow()).round(), i.float())
    assert torch.equal(Thousand().of((i + 1).double() / 1000, Flow()), i.float())


def test_log_snr_is_bounded_and_gives_the_edm_noise_number():
    out = LogSNR().of(T, Flow())
    assert torch.isfinite(out).all()
    assert out[0] == 20
    assert out[-1] == -20
    level = VE().sigma(T[2:3])
    wanted = level.log() / 4
    assert math.isclose(float(LogSNR(scale=-0.125).of(T[2:3], VE())), float(wanted), rel_tol=1e-6)
    assert float(LogSNR().of(torch.tensor([0.5]), Linear())) == 0
