import pytest

from frisket.core import FrisketError
from frisket.data import parse_data
from frisket.data.digits import Digits
from frisket.data.text import Text


def test_a_registered_name_gives_its_part():
    assert parse_data("digits") == Digits()


def test_text_alone_is_the_embedded_corpus_and_with_a_target_the_users_file():
    assert parse_data("text") == Text(target=None)
    assert parse_data("text:books/one.txt") == Text(target="books/one.txt")


def test_a_target_may_hold_colons():
    assert parse_data("wds:https://host/a.tar").target == "https://host/a.tar"


@pytest.mark.parametrize("scheme", ["imagefolder", "hf", "wds", "csv", "npz", "latents"])
def test_every_kind_of_users_data_takes_a_target(scheme):
    assert parse_data(f"{scheme}:somewhere").target == "somewhere"
    for text in (scheme, f"{scheme}:"):
        with pytest.raises(FrisketError, match="needs a target"):
            parse_data(text)


def test_wrong_names_and_targets_are_refused():
    with pytest.raises(FrisketError, match="did you mean 'digits'"):
        parse_data("digit")
    with pytest.raises(FrisketError, match="takes no target, got 'x'"):
        parse_data("digits:x")
    with pytest.raises(FrisketError, match="needs a target"):
        parse_data("text:")
