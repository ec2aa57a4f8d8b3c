import torch
from sampling_fakes import steps

from frisket.processes.gaussian import Gaussian
from frisket.sampling.base import Moment, Snapshot, process_noise


def test_noise_is_keyed_by_purpose_index_and_sample():
    process = Gaussian()
    a = process_noise(process, (200,), steps(2), "prior")
    assert torch.equal(a, process_noise(process, (200,), steps(2), "prior"))
    assert torch.equal(a[1:], process_noise(process, (200,), steps(1, first=1), "prior"))
    others = [
        process_noise(process, (200,), steps(2), "solver"),
        process_noise(process, (200,), steps(2).at(index=1), "prior"),
        process_noise(process, (200,), steps(2, seed=1), "prior"),
        process.noise((200,), steps(2)),
    ]
    for other in others:
        assert abs(float(torch.corrcoef(torch.stack([a[0], other[0]]))[0, 1])) < 0.3


def test_a_moment_draws_for_states_of_the_given_shape():
    moment = Moment(process=Gaussian(), evaluate=None, step=steps(3))
    assert moment.noise(torch.zeros(3, 2, 4), "solver").shape == (3, 2, 4)


def test_forwards_are_the_rows_of_all_models():
    shot = Snapshot(x=torch.zeros(1), t=0.0, index=1, total=1, estimate=None, rows={"": 4, "weak": 2})
    assert shot.forwards == 6
