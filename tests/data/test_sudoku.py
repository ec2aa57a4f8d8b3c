import pytest
import torch

from frisket.core import FrisketError, from_config, to_config
from frisket.data.sudoku import FEWEST, Sudoku, SudokuRules
from frisket.data.sudoku_solver import EMPTY, is_solution, solutions


@pytest.mark.parametrize(("size", "clues"), [(4, 5), (4, 9), (6, 12), (9, 25), (9, 40)])
@pytest.mark.parametrize("split", ["train", "test"])
def test_every_puzzle_has_exactly_its_solution(size, clues, split):
    batch = Sudoku(size=size, clues=clues).open(split).batch(torch.arange(24))
    assert batch["x"].shape == batch["known"].shape == (24, size * size)
    assert (batch["known"].sum(1) == clues).all()
    for x, known in zip(batch["x"].tolist(), batch["known"].tolist(), strict=True):
        assert is_solution(x, size)
        assert solutions([s if k else EMPTY for s, k in zip(x, known, strict=True)], size) == [x]


def test_items_do_not_depend_on_the_batch_and_rarely_repeat():
    source = Sudoku(size=9).open()
    whole = source.batch(torch.arange(200))
    some = source.batch(torch.tensor([150, 3, 10**13]))
    assert torch.equal(whole["x"][[150, 3]], some["x"][:2])
    assert torch.equal(whole["known"][[150, 3]], some["known"][:2])
    assert len(whole["x"].unique(dim=0)) == 200
    assert not torch.equal(Sudoku(size=9, seed=1).open().batch(torch.arange(200))["x"], whole["x"])


def test_the_splits_share_no_solution_even_where_few_exist():
    ids = torch.arange(6000)
    train = {tuple(x) for x in Sudoku(size=4, clues=6).open("train").batch(ids)["x"].tolist()}
    test = {tuple(x) for x in Sudoku(size=4, clues=6, seed=5).open("test").batch(ids)["x"].tolist()}
    assert not train & test
    assert len(train | test) == 288


def test_clues_are_spread_over_the_grid():
    known = Sudoku(size=6, clues=12).open().batch(torch.arange(2000))["known"].double().mean(0)
    assert (known - 12 / 36).abs().max() < 0.08


def test_facts_and_refusals():
    info = Sudoku(size=6, clues=12).open().info
    assert (info.kind, info.shape, info.size, info.extra["vocabulary"]) == ("ids", (36,), None, 6)
    assert from_config(to_config(Sudoku())) == Sudoku()
    with pytest.raises(FrisketError, match=r"data\.size = 5"):
        Sudoku(size=5)
    with pytest.raises(FrisketError, match=f"in {FEWEST[9]}..81"):
        Sudoku(clues=16)


def test_the_judge_asks_for_the_rules_and_the_clues():
    source = Sudoku(size=6, clues=12).open("test")
    batch = source.batch(torch.arange(6))
    assert source.judge == SudokuRules(size=6)
    assert source.judge.right(batch["x"], batch).all()
    renamed = (batch["x"] + 1) % 6  # keeps the rules, not the clues
    assert not source.judge.right(renamed, batch).any()
    other = batch["x"].clone()
    other[0, int((~batch["known"][0]).nonzero()[0])] = other[0, int((~batch["known"][0]).nonzero()[1])]
    swapped = source.judge.right(other, batch)
    assert swapped.tolist() == [bool((other[0] == batch["x"][0]).all()), *[True] * 5]
    with pytest.raises(FrisketError):
        SudokuRules(size=5)
