import pytest
import torch

from frisket.core import FrisketError
from frisket.data.csv_file import Csv, CsvIds


def write(tmp_path, lines, name="t.csv"):
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_columns_become_windows_of_a_series(tmp_path):
    target = write(tmp_path, ["day,a,b", *(f"d{i},{i},{-2 * i}" for i in range(50))])
    source = Csv(target=target, columns=("b", "a"), length=4).open()
    assert source.info.shape == (2, 4)
    assert source.info.extra["channels"] == ("b", "a")
    x = source.batch(torch.tensor([0, 36]))["x"]
    mean, std = (torch.tensor(source.info.extra[k])[:, None] for k in ("mean", "std"))
    assert torch.allclose(x[1] * std + mean, torch.tensor([[-72.0, -74, -76, -78], [36, 37, 38, 39]]), atol=1e-4)


def test_rows_become_ids(tmp_path):
    target = write(tmp_path, ["a,b,kind", *(f"{i},{i % 3},{i % 2}" for i in range(20))])
    train = CsvIds(target=target, label="kind").open()
    test = CsvIds(target=target, columns=("b", "a"), label="kind").open("test")
    assert (train.info.size, test.info.size) == (18, 2)
    assert train.info.extra["vocabulary"] == 20
    assert test.batch(torch.tensor([1]))["x"].tolist() == [[1, 19]]
    assert train.batch(torch.tensor([9]))["label"].tolist() == [0]
    assert train.info.classes == ("0", "1")


def test_broken_rows_are_skipped_up_to_the_limit(tmp_path):
    lines = ["a", *(("x" if i in (3, 9) else str(i)) for i in range(30))]
    assert Csv(target=write(tmp_path, lines), length=2, skip_limit=2).open("train").values.shape == (1, 22)
    with pytest.raises(FrisketError, match=r"t\.csv:11"):
        Csv(target=write(tmp_path, lines), length=2, skip_limit=1).open()


def test_what_is_no_id_is_refused(tmp_path):
    for cell in ("0.5", "-1"):
        with pytest.raises(FrisketError, match="whole numbers"):
            CsvIds(target=write(tmp_path, ["a", "1", cell])).open()
    with pytest.raises(FrisketError, match=r"data\.label = 'kind'"):
        CsvIds(target=write(tmp_path, ["a", "1"]), label="kind").open()
    with pytest.raises(FrisketError, match="does not exist"):
        Csv(target=str(tmp_path / "gone.csv")).open()
    with pytest.raises(FrisketError, match="test split"):
        CsvIds(target=write(tmp_path, ["a", "1"])).open("test")
