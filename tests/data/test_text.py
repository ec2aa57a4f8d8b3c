import pytest
import torch
from jaxtyping import TypeCheckError

from frisket.core import FrisketError
from frisket.data.text import Text, clean


def test_cleaning_drops_rules_and_runs_of_white_space():
    assert clean("  Title\n=====\n\n+------+\tone ... two -- three\n") == "Title + + one ... two -- three"


def test_embedded_windows_have_the_length_and_the_alphabet():
    source = Text(length=48).open()
    batch = source.batch(torch.tensor([0, 1, 1000, source.info.size - 1]))
    assert [len(x) for x in batch["x"]] == [48] * 4
    assert batch["x"][0][1:] == batch["x"][1][:-1]
    assert batch["x"][-1] == source.text[-48:]
    alphabet = source.info.extra["alphabet"]
    assert list(alphabet) == sorted(set(alphabet))
    assert set(source.text) | set(Text().open("test").text) == set(alphabet)
    assert len(source.text) > 300_000


def test_the_splits_are_two_parts_of_one_text_and_test_windows_lie_end_to_end():
    train, test = Text(length=50).open("train"), Text(length=50).open("test")
    assert len(train.text) / len(train.text + test.text) == pytest.approx(0.9, abs=1e-4)
    joined = "".join(test.batch(torch.arange(test.info.size))["x"])
    assert joined == test.text[: len(joined)]
    assert len(test.text) - len(joined) < 50
    assert train.info.digest == test.info.digest


def test_words_are_ranked_by_training_frequency_and_joined_by_spaces():
    source = Text(unit="words", length=12).open()
    words = source.info.extra["words"]
    window = source.batch(torch.tensor([5]))["x"][0]
    assert len(window.split(" ")) == 12
    assert set(window.split(" ")) <= set(words)
    counts = [source.units.count(w) for w in (*words[:3], words[-1])]
    assert counts == sorted(counts, reverse=True)
    assert "the" in words[:5]
    assert len(words) == len(set(words))


def test_a_users_file_and_folder(tmp_path):
    (tmp_path / "b.txt").write_text("second " * 30, encoding="utf-8")
    (tmp_path / "a.txt").write_text("é first\r\n" * 30, encoding="utf-8")
    one = Text(target=str(tmp_path / "a.txt"), length=7).open()
    assert one.batch(torch.tensor([0]))["x"] == ["é first"]
    both = Text(target=str(tmp_path), length=8)
    assert both.open("train").text.startswith("é first é")
    assert both.open("test").text.endswith("second")


def test_what_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "short.txt").write_text("abc")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\xff" * 40)
    with pytest.raises(FrisketError, match="fewer than length = 64"):
        Text(target=str(tmp_path / "short.txt")).open()
    with pytest.raises(FrisketError, match=r"bytes\.txt' cannot be read as UTF-8"):
        Text(target=str(tmp_path / "bytes.txt")).open()
    with pytest.raises(FrisketError, match="does not exist"):
        Text(target=str(tmp_path / "gone.txt")).open()
    with pytest.raises((FrisketError, TypeCheckError), match="'lines'"):
        Text(unit="lines")  # type: ignore[arg-type]
