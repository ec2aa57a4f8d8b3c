import numpy as np
import pytest
import torch

from frisket.core import FrisketError
from frisket.data.npz import Npz


def save(tmp_path, **arrays):
    np.savez(tmp_path / "t.npz", **arrays)
    return str(tmp_path / "t.npz")


RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("x", "kind", "vocabulary"), [
    (RNG.normal(size=(20, 2, 9)), "series", None), (RNG.random((20, 3, 4, 5), dtype=np.float32), "image", None),
    (RNG.random((20, 1, 2, 4, 4)), "video", None), (np.arange(80).reshape(20, 4), "ids", 80),
])  # fmt: skip
def test_layouts_are_told_by_type_and_dimensions(tmp_path, x, kind, vocabulary):
    source = Npz(target=save(tmp_path, x=x)).open()
    assert source.info.kind == kind
    assert source.info.extra.get("vocabulary") == vocabulary
    batch = source.batch(torch.tensor([0, 17]))
    assert np.allclose(batch["x"].numpy(), x[[0, 18]])  # item 9 is the test's
    assert batch["x"].dtype == (torch.int64 if kind == "ids" else torch.float32)
    test = Npz(target=save(tmp_path, x=x)).open("test")
    assert np.allclose(test.batch(torch.tensor([0, 1]))["x"].numpy(), x[[9, 19]])


def test_bytes_are_pixels_and_labels_come_along(tmp_path):
    x = RNG.integers(0, 256, (10, 3, 4, 4), dtype=np.uint8)
    source = Npz(target=save(tmp_path, x=x, label=np.arange(10) % 3)).open()
    batch = source.batch(torch.tensor([4]))
    assert torch.equal((batch["x"] * 255).round().to(torch.uint8)[0], torch.from_numpy(x[4]))
    assert batch["label"].tolist() == [1]
    assert source.info.classes == ("0", "1", "2")


@pytest.mark.parametrize(("arrays", "message"), [
    ({"y": np.zeros(3)}, "no array 'x'"), ({"x": np.zeros((5, 2, 4, 4))}, "has 2 channels"),
    ({"x": np.array([{}], dtype=object)}, "cannot be read"), ({"x": np.zeros((5, 3))}, "has shape"),
    ({"x": np.array(["a"])}, "must hold numbers"), ({"x": np.full((5, 1, 3), np.nan)}, "not finite"),
    ({"x": -np.ones((5, 3), dtype=int)}, "from 0 up"),
    ({"x": np.zeros((1, 1, 4)), "label": np.zeros(2, int)}, "label of"),
])  # fmt: skip
def test_other_content_is_refused_in_one_line(tmp_path, arrays, message):
    with pytest.raises(FrisketError, match=message) as caught:
        Npz(target=save(tmp_path, **arrays)).open()
    assert "\n" not in str(caught.value)


def test_broken_and_missing_archives_are_refused(tmp_path):
    (tmp_path / "b.npz").write_bytes(b"PK\x03\x04 nothing")
    for name, message in (("b.npz", "cannot be read"), ("gone.npz", "does not exist")):
        with pytest.raises(FrisketError, match=message):
            Npz(target=str(tmp_path / name)).open()
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(FrisketError, match="cannot be read"):
        Npz(target=str(tmp_path / "one.npy")).open()
