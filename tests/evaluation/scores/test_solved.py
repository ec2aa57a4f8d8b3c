import pytest
import torch

from frisket.codecs.text import Ids as IdsCodec
from frisket.core import FrisketError, Output
from frisket.data.digits import Digits
from frisket.data.sudoku import Sudoku
from frisket.evaluation.scores.solved import Solutions, Solved, solve
from frisket.experiments.measures import take
from frisket.processes.masked import Masked
from frisket.sampling.decoding.decoder import Ordered
from frisket.sampling.decoding.proposals import Greedy
from frisket.sampling.decoding.selects import Budget, PowerCurve
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler

DATA = Sudoku(size=4, clues=10)


class Knowing(torch.nn.Module):
    """Knows every solution; with `slips` it is wrong about the last cell."""

    def __init__(self, count, slips=()):
        super().__init__()
        self.register_buffer("solutions", DATA.open("test").batch(torch.arange(count))["x"])
        self.slips = slips

    def forward(self, x, t, cond=None):
        fits = ((x[:, None] == self.solutions) | (x[:, None] == 4)).all(-1)  # clues say which puzzle it is
        number = fits.long().argmax(1)
        out = 20.0 * torch.nn.functional.one_hot(self.solutions[number], 4).float()
        for i, k in enumerate(number.tolist()):
            if k in self.slips:
                out[i] = out[i].roll(1, -1)
        return Output(out)


def pipeline(moves=6, **model):
    update = Ordered(proposal=Greedy(), select=Budget(curve=PowerCurve()))
    info = DATA.open("test").info
    return Pipeline(
        Knowing(8, **model), Masked(vocabulary=4), IdsCodec(vocabulary=4), Sampler(steps=moves, update=update), info
    )


def test_solved_in_as_many_forwards_as_moves():
    found = solve(pipeline(moves=3), DATA, 8, 0)
    assert bool(found.right.all())
    assert found.forwards.tolist() == [3] * 8
    assert found.hidden.tolist() == [6] * 8
    batch = DATA.open("test").batch(torch.arange(8))
    assert torch.equal(found.made, batch["x"])
    torch.testing.assert_close(found.earned(), torch.full((8,), 1 - 2 / 6))


def test_one_wrong_cell_is_not_solved_and_earns_nothing():
    found = solve(pipeline(slips=(2, 5)), DATA, 8, 0)
    assert found.right.tolist() == [k not in (2, 5) for k in range(8)]
    numbers = Solved().take(pipeline(slips=(2, 5)), DATA, 8, 0)
    assert numbers["solved"] == 0.75
    assert numbers["forwards"] == 6
    assert numbers["earned"] == pytest.approx(0.75 * (1 - 5 / 6))


def test_studies_take_it_by_name():
    assert take(pipeline(), DATA, ["solved", "forwards"], n=4) == {"solved": 1.0, "forwards": 6.0}


def test_more_hidden_places_pay_more_for_the_same_forwards():
    forwards, right = torch.tensor([3, 3]), torch.tensor([True, True])
    earned = Solutions(made=torch.zeros(2, 4), right=right, forwards=forwards, hidden=torch.tensor([4, 10])).earned()
    assert earned.tolist() == pytest.approx([0.5, 0.8])


def test_data_without_problems_are_refused():
    with pytest.raises(FrisketError, match="poses no problems"):
        Solved().take(pipeline(), Digits(), 4, 0)
