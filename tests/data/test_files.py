import pytest

from frisket.core import FrisketError
from frisket.data.files import Skips, digest_of, in_split, list_files, regular_file, whole_number


def test_files_come_in_order_of_their_relative_path_without_hidden_ones(tmp_path):
    for name in ("b/2.PNG", "a/10.png", "a/2.png", ".trash/1.png", "a/.x.png", "a/note.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    found = [p.relative_to(tmp_path).as_posix() for p in list_files(tmp_path, [".png"], "test")]
    assert found == ["a/10.png", "a/2.png", "b/2.PNG"]


def test_missing_and_empty_folders_are_named(tmp_path):
    with pytest.raises(FrisketError, match=r"holds no file ending in \.png"):
        list_files(tmp_path, [".png"], "test")
    with pytest.raises(FrisketError, match="does not exist"):
        regular_file(str(tmp_path / "gone"), "test")
    with pytest.raises(FrisketError, match="is not a file"):
        regular_file(str(tmp_path), "test")


def test_digest_follows_names_and_sizes(tmp_path):
    (tmp_path / "a").write_text("12")
    before = digest_of([tmp_path / "a"], tmp_path)
    (tmp_path / "a").write_text("123")
    assert digest_of([tmp_path / "a"], tmp_path) != before


def test_splits_are_disjoint_and_complete():
    train, test = ([n for n in range(95) if in_split(n, split, 10)] for split in ("train", "test"))
    assert sorted(train + test) == list(range(95))
    assert test == list(range(9, 95, 10))


def test_broken_items_are_logged_counted_once_and_limited(caplog):
    skips = Skips(2, "photos/")
    for name in ("a.png", "b.png", "a.png"):
        skips.add(name, ValueError("bad\nheader"))
    assert list(skips.broken) == ["a.png", "b.png"]
    assert [r.getMessage().count("a.png") for r in caplog.records] == [1, 0]
    with pytest.raises(FrisketError, match=r"3 broken items in photos/.*c\.png: bad header") as caught:
        skips.add("c.png", ValueError("bad\nheader"))
    assert "\n" not in str(caught.value)


def test_a_label_is_a_number_of_64_bits_and_one_of_the_classes():
    assert [whole_number(b"3"), whole_number("-1"), whole_number(2, classes=3)] == [3, -1, 2]
    for value, classes in ((10**30, 0), ("x", 0), (3, 3), (-1, 3)):
        with pytest.raises(ValueError, match="label|invalid"):
            whole_number(value, classes)
