import pytest
import torch

from frisket.core.errors import FrisketError
from frisket.sampling.control.words import alias_of


def ids(*rows):
    return torch.tensor(rows)


def test_equal_captions_stand_for_themselves():
    a = ids([3, 1, 4, 0], [5, 5, 9, 2])
    for how in ("replace", "refine"):
        assert alias_of(a, a, how).tolist() == [[0, 1, 2, 3]] * 2


def test_a_swapped_word_takes_the_old_ones_place_or_is_new():
    old, new = ids([3, 1, 4]), ids([7, 1, 4])
    assert alias_of(old, new).tolist() == [[0, 1, 2]]
    assert alias_of(old, new, "refine").tolist() == [[-1, 1, 2]]


def test_added_words_are_new_and_the_rest_is_found_again():
    old, new = ids([3, 1, 4, 0]), ids([3, 8, 1, 4])
    assert alias_of(old, new)[0, :4].tolist() == [0, -1, 1, 2]


def test_another_number_of_words_is_new_either_way():
    old, new = ids([3, 1, 4, 6]), ids([3, 8, 9, 6])
    assert alias_of(ids([3, 1, 6, 0]), ids([3, 8, 9, 6]))[0, :3].tolist() == [0, -1, -1]
    assert alias_of(old, new).tolist() == [[0, 1, 2, 3]]


def test_bad_input_is_refused():
    with pytest.raises(FrisketError, match="words.how"):
        alias_of(ids([1]), ids([1]), "other")
