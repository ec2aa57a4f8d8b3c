import numpy as np
import pytest

from frisket.core import FrisketError
from frisket.data.files import Skips
from frisket.data.tables import read_columns


def write(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_text(text)
    return path


def test_numeric_columns_are_found_and_comments_left_out(tmp_path):
    path = write(tmp_path, "# source\nday,a,b,name\nmon,1,2.5,x\ntue,-3,4e1,y\n")
    names, values = read_columns(path, (), Skips(0, "t"))
    assert names == ("a", "b")
    assert np.array_equal(values, [[1, 2.5], [-3, 40]])
    assert read_columns(path, ("b",), Skips(0, "t"))[1].tolist() == [[2.5], [40]]


def test_without_a_header_columns_are_numbers(tmp_path):
    names, values = read_columns(write(tmp_path, "1,2\n3,4\n"), ("1",), Skips(0, "t"))
    assert names == ("1",)
    assert values.tolist() == [[2], [4]]


def test_blank_rows_are_no_observation_and_broken_ones_are_counted(tmp_path):
    skips = Skips(3, "t")
    path = write(tmp_path, "day,a,b\nmon,1,2\ntue,,\nwed,3,\nthu,nan,1\nfri,4\nsat,5,6\n")
    assert read_columns(path, (), skips)[1].tolist() == [[1, 2], [5, 6]]
    assert [name.rsplit(":", 1)[1] for name in skips.broken] == ["4", "5", "6"]
    with pytest.raises(FrisketError, match=r"t\.csv:6"):
        read_columns(path, (), Skips(2, "t"))


@pytest.mark.parametrize(("text", "columns", "message"), [
    ("", (), "is empty"), ("a,b\n", (), "no rows"), ("a,b\nx,y\n", (), "no numeric column"),
    ("alpha,b\n1,2\n", ("alhpa",), "did you mean 'alpha'"), ("a,b\nx,1\n", ("a",), "no row with numbers in all of a"),
])  # fmt: skip
def test_useless_tables_are_refused(tmp_path, text, columns, message):
    with pytest.raises(FrisketError, match=message):
        read_columns(write(tmp_path, text), columns, Skips(5, "t"))
