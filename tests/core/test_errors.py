from __future__ import annotations

import pytest

from frisket.core.errors import FrisketError, MissingExtra, check, unknown


def test_unknown_names_the_nearest_and_everything_accepted():
    text = str(unknown("solver", "hein", ["euler", "heun"]))
    assert text == "unknown solver 'hein'; did you mean 'heun'? (accepted: euler, heun)"


def test_unknown_guesses_nothing_from_afar_and_says_when_there_is_nothing():
    assert "did you mean" not in str(unknown("solver", "zzz", ["euler"]))
    assert "accepted: none" in str(unknown("solver", "euler", []))


def test_unknown_takes_values_that_are_no_strings():
    assert "unknown index 3" in str(unknown("index", 3, ["0", "1"]))


def test_check_names_field_value_and_what_is_accepted():
    check(True, "width", 64, "a multiple of heads")
    with pytest.raises(FrisketError, match=r"^width = 65 is not accepted; it must be a multiple of heads$"):
        check(False, "width", 65, "a multiple of heads")


def test_a_missing_library_is_bad_input_and_an_import_error_in_one_line():
    error = MissingExtra("datasets", "data", "reading hf:NAME")
    assert isinstance(error, FrisketError)
    assert isinstance(error, ImportError)
    assert str(error) == "reading hf:NAME needs the library 'datasets': pip install 'frisket[data]'"
    assert "\n" not in str(error)
