from __future__ import annotations

import os
import pickle
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frisket.core import FrisketError
from frisket.core.files import atomic_file, atomic_folder, load_tensors, read_json, save_tensors, write_json


def entries(folder) -> list[str]:
    return sorted(os.listdir(folder))


def test_a_file_takes_its_name_whole_and_makes_its_folders(tmp_path):
    with atomic_file(tmp_path / "a" / "b.txt") as aside:
        aside.write_text("new")
        assert not (tmp_path / "a" / "b.txt").exists()
    assert (tmp_path / "a" / "b.txt").read_text() == "new"
    assert entries(tmp_path / "a") == ["b.txt"]


def test_an_error_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "b.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="stop"), atomic_file(path) as aside:
        aside.write_text("half")
        raise RuntimeError("stop")
    assert path.read_text() == "old"
    assert entries(tmp_path) == ["b.txt"]


def test_a_killed_process_leaves_the_old_file(tmp_path):
    path = tmp_path / "b.txt"
    path.write_text("old")
    code = (
        "import os, sys\nfrom frisket.core.files import atomic_file\n"
        "with atomic_file(sys.argv[1]) as aside:\n    aside.write_text('half')\n    os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 9
    assert path.read_text() == "old"


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "model"
    for names in (["a", "b"], ["c"]):
        with atomic_folder(path) as aside:
            for name in names:
                (aside / name).write_text(name)
        assert entries(path) == names
    assert entries(tmp_path) == ["model"]


def test_an_error_leaves_the_old_folder_and_nothing_beside_it(tmp_path):
    path = tmp_path / "model"
    with atomic_folder(path) as aside:
        (aside / "a").write_text("old")
    with pytest.raises(RuntimeError, match="stop"), atomic_folder(path) as aside:
        (aside / "a").write_text("half")
        raise RuntimeError("stop")
    assert (path / "a").read_text() == "old"
    assert entries(tmp_path) == ["model"]


def test_the_old_folder_comes_back_when_the_new_one_cannot_take_its_name(tmp_path, monkeypatch):
    path = tmp_path / "model"
    with atomic_folder(path) as aside:
        (aside / "a").write_text("old")
    rename = os.replace

    def failing(source, target):
        if str(source).endswith(".tmp"):
            raise OSError("disk gone")
        rename(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="disk gone"), atomic_folder(path) as aside:
        (aside / "a").write_text("new")
    assert (path / "a").read_text() == "old"
    assert entries(tmp_path) == ["model"]


def test_a_folder_is_filled_anew_after_a_process_died_in_it(tmp_path):
    path = tmp_path / "model"
    stale = tmp_path / f".model.{os.getpid()}.tmp"
    stale.mkdir()
    (stale / "rubbish").write_text("x")
    with atomic_folder(path) as aside:
        (aside / "a").write_text("new")
    assert entries(path) == ["a"]


def test_json_comes_back_and_a_failed_write_keeps_the_old(tmp_path):
    path = tmp_path / "config.json"
    write_json(path, {"a": [1, 2.5, None, "ü"]})
    assert read_json(path) == {"a": [1, 2.5, None, "ü"]}
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert read_json(path) == {"a": [1, 2.5, None, "ü"]}


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe\x00"])
def test_broken_json_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(FrisketError, match=r"config\.json is not valid JSON") as caught:
        read_json(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(FrisketError, match=r"absent\.json does not exist"):
        read_json(tmp_path / "absent.json")


DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.uint8, torch.bool]


@given(st.lists(st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(0, 4), max_size=3)), max_size=4))
def test_tensors_come_back_bit_for_bit(tmp_path_factory, kinds):
    path = tmp_path_factory.mktemp("tensors") / "model.safetensors"
    tensors = {f"t.{i}": torch.arange(int(torch.Size(shape).numel())).reshape(shape).to(dtype)
               for i, (dtype, shape) in enumerate(kinds)}  # fmt: skip
    save_tensors(path, tensors, {"by": "test"})
    again = load_tensors(path)
    assert again.keys() == tensors.keys()
    for name, value in tensors.items():
        assert again[name].dtype == value.dtype
        assert torch.equal(again[name], value)


def test_views_shared_storage_and_gradients_are_saved_plain(tmp_path):
    base = torch.arange(12.0).reshape(3, 4).requires_grad_()
    tensors = {"whole": base, "turned": base.T, "row": base[1], "again": base}
    save_tensors(tmp_path / "m.safetensors", tensors)
    again = load_tensors(tmp_path / "m.safetensors")
    assert all(torch.equal(again[k], v.detach()) and not again[k].requires_grad for k, v in tensors.items())


@pytest.mark.parametrize("keep", [0, 4, 20, -1])
def test_a_truncated_file_is_refused_in_one_line(tmp_path, keep):
    path = tmp_path / "model.safetensors"
    save_tensors(path, {"a": torch.arange(100.0)})
    path.write_bytes(path.read_bytes()[:keep])
    refused(path)


def test_a_pickle_is_refused_in_one_line_and_never_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps({"a": Trap()}))
    refused(path)
    torch.save({"a": torch.zeros(3)}, path)
    refused(path)
    assert not (tmp_path / "sprung").exists()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FrisketError, match=r"absent\.safetensors does not exist"):
        load_tensors(tmp_path / "absent.safetensors")


def refused(path):
    with pytest.raises(FrisketError, match=r"model\.safetensors is not a whole safetensors file") as caught:
        load_tensors(path)
    assert "\n" not in str(caught.value)
