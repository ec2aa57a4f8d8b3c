import pytest
import torch

from frisket.core import FrisketError
from frisket.data.sudoku_solver import EMPTY, are_solutions, box_of, is_solution, solutions

# A puzzle in wide use as an example, and the 17-clue kind.
EXAMPLE = (
    "53..7...." "6..195..." ".98....6." "8...6...3" "4..8.3..1" "7...2...6" ".6....28." "...419..5" "....8..79"
)  # fmt: skip
ANSWER = "534678912672195348198342567859761423426853791713924856961537284287419635345286179"


def grid(text: str) -> list[int]:
    return [EMPTY if c == "." else int(c) - 1 for c in text]


def test_a_known_puzzle_has_its_known_solution():
    assert solutions(grid(EXAMPLE), 9) == [grid(ANSWER)]
    assert is_solution(grid(ANSWER), 9)


def test_all_4x4_grids_are_counted():
    assert len(solutions([EMPTY] * 16, 4, limit=1000)) == 288


def test_the_count_of_6x6_grids():
    # 720 names for the first row; the 36 second rows fall into three kinds, by how they permute the first row's triples
    kinds = {(0, 1, 2): 6, (1, 0, 2): 18, (1, 2, 0): 12}
    begun = {kind: [0, 1, 2, 3, 4, 5, 3, 4, 5, *kind, *[EMPTY] * 24] for kind in kinds}
    counted = sum(many * len(solutions(begun[kind], 6, limit=10**6)) for kind, many in kinds.items())
    assert 720 * counted == 28_200_960


def test_the_limit_stops_the_search():
    assert len(solutions([EMPTY] * 81, 9, limit=3)) == 3


def test_contradictions_have_no_solution():
    assert solutions([0, 0, *[EMPTY] * 14], 4) == []
    assert solutions([7, *[EMPTY] * 15], 4) == []
    # row 0 leaves only symbol 3 for its last cell, whose column already holds it
    assert solutions([0, 1, 2, EMPTY, *[EMPTY] * 7, 3, *[EMPTY] * 4], 4) == []


def test_boxes_of_size_six_are_two_rows_by_three_columns():
    assert [box_of(6)[i] for i in (0, 2, 3, 8, 11, 12, 35)] == [0, 0, 1, 0, 1, 2, 5]


def test_a_wrong_grid_is_no_solution():
    wrong = grid(ANSWER)
    wrong[0], wrong[1] = wrong[1], wrong[0]
    assert not is_solution(wrong, 9)
    assert not is_solution(wrong[:-1], 9)


def test_preferred_symbols_come_first():
    order = [[3, 2, 1, 0]] * 16
    assert solutions([EMPTY] * 16, 4, limit=1, prefer=order)[0][0] == 3


def test_wrong_sizes_are_refused():
    with pytest.raises(FrisketError, match="4, 6 or 9"):
        solutions([EMPTY] * 25, 5)
    with pytest.raises(FrisketError, match="81 cells"):
        solutions([EMPTY] * 80, 9)


def test_many_grids_at_once():
    for size in (4, 6, 9):
        right = torch.tensor(solutions([EMPTY] * size**2, size, limit=3))
        wrong = right.clone()
        wrong[:, [0, 1]] = wrong[:, [1, 0]]
        assert are_solutions(right, size).all()
        assert not are_solutions(wrong, size).any()
        assert are_solutions(wrong, size).tolist() == [is_solution(grid, size) for grid in wrong.tolist()]
    with pytest.raises(FrisketError, match="shape"):
        are_solutions(torch.zeros(1, 15, dtype=torch.int64), 4)
