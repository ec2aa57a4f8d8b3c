"""Hostile files: no pickle is loaded, no code of a checkpoint, config or set runs, no name leaves its folder."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import struct
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from frisket.codecs.tokenizer import Tokenizer
from frisket.core import FrisketError
from frisket.core.files import load_tensors, save_tensors
from frisket.data.hf import HuggingFace
from frisket.data.latents import Latents
from frisket.interop.golden import golden
from run_folders import DIT, frisket, refused


@pytest.fixture
def trap(tmp_path):
    """Text of code that leaves a mark; and afterwards there must be none."""
    mark = tmp_path / "sprung"
    yield f"open({str(mark)!r}, 'w').close()"
    assert not mark.exists(), "code of a file was run"


class Payload:
    """Unpickled, it runs `code`."""

    def __init__(self, code):
        self.code = code

    def __reduce__(self):
        return exec, (self.code,)


@pytest.fixture
def model(dit_run, tmp_path):
    shutil.copytree(dit_run / "model", tmp_path / "model")
    return tmp_path / "model"


def changed(model, name, value):
    """Put `value` at a dotted name of the model's config."""
    config = json.loads((model / "config.json").read_text())
    *way, last = name.split(".")
    held = config
    for step in way:
        held = held[step]
    held[last] = value
    (model / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("name", ["model", "process", "process.path", "sampler.update", "codec", "edits"])
@pytest.mark.parametrize("part", ["os.system", "builtins.eval", "posix/system", "__import__", "subprocess.Popen"])
def test_a_config_builds_registered_parts_only(name, part, model, capsys, trap):
    value = {"part": part, "command": f"python -c {trap!r}", "source": trap}
    changed(model, name, [value] if name == "edits" else value)
    assert f"unknown part {part!r}" in refused(capsys, "sample", model)


@pytest.mark.parametrize("field", ["__class__", "__init__", "__reduce__", "__dict__", "part_name", "build"])
def test_a_config_sets_fields_only(field, model, capsys, trap):
    changed(model, f"sampler.{field}", trap)
    assert f"unknown field of sampler/loop {field!r}" in refused(capsys, "sample", model)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("model", "transformer", "model = 'transformer' is not accepted"),
        ("model", {"part": "data/digits"}, "serves as BackboneConfig"),
        ("model.width", "64", "backbone/transformer.width = '64' is not accepted; it must be a whole number"),
        ("model.width", -1, "the model cannot be built"),
        ("model.width", 10**12, "the model cannot be built"),
        ("model.blocks", [3], "each a part that serves as Block"),
        ("process", {"part": "sampler/loop"}, "serves as Process"),
        ("process.path", {"part": "data/digits"}, "serves as Path"),
        ("sampler.steps", "ten", "sampler/loop.steps = 'ten'"),
        ("sampler.steps", True, "sampler/loop.steps = True"),
        ("edits", [{"part": "path/flow"}], "serves as Edit"),
        ("codec.std", ["__import__('os')"], "codec/pixels.std"),
        ("info", [1], "info = [1]"),
        ("info.shape", 3, "info.shape = 3"),
        ("info.kind", "banana", "'image' or 'video'"),
    ],
)
def test_values_of_another_kind_are_one_line(name, value, said, model, capsys):
    changed(model, name, value)
    assert said in refused(capsys, "sample", model)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[3]", "3", "9" * 5000, "\0", "NaN"])
def test_configs_that_are_none_are_one_line(text, model, capsys):
    (model / "config.json").write_text(text)
    assert "config.json" in refused(capsys, "sample", model)


@pytest.mark.parametrize("depth", [100, 900])
def test_endless_nesting_is_one_line(depth, model, capsys):
    text = (model / "config.json").read_text()
    (model / "config.json").write_text(text.replace('"edits": []', '"edits": ' + "[" * depth + "]" * depth))
    assert "nested deeper than 64" in refused(capsys, "sample", model)


def test_a_pickle_beside_the_weights_is_ignored_and_instead_of_them_refused(model, tmp_path, capsys, trap):
    for name in ("pytorch_model.bin", "model.pt", "optimizer.pt", "config.pkl"):
        (model / name).write_bytes(pickle.dumps(Payload(trap)))
    (model / "sitecustomize.py").write_text(trap)
    (model / "modeling.py").write_text(trap)
    assert frisket("sample", model, "--n", 1, "--steps", 1, "--out", tmp_path / "a.png") == 0
    (model / "model.safetensors").unlink()
    assert "model.safetensors does not exist" in refused(capsys, "sample", model)


def test_a_pickle_under_the_name_of_weights_is_refused(model, capsys, trap):
    file = model / "model.safetensors"
    for content in (pickle.dumps(Payload(trap)), pickle.dumps(Payload(trap), protocol=0)):
        file.write_bytes(content)
        assert "pickles are never loaded" in refused(capsys, "sample", model)
    torch.save({"w": torch.zeros(1), "x": Payload(trap)}, file)
    assert "pickles are never loaded" in refused(capsys, "sample", model)


def test_an_official_checkpoint_with_code_is_refused(tmp_path, capsys, trap):
    weights = golden("dit")[0]
    torch.save({**weights, "args": Payload(trap)}, tmp_path / "new.pt")
    torch.save({**weights, "args": Payload(trap)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    (tmp_path / "bare.ckpt").write_bytes(pickle.dumps(Payload(trap)))
    for name in ("new.pt", "old.pt", "bare.ckpt"):
        said = refused(capsys, "import", "dit", tmp_path / name, tmp_path / "out", "--num-heads", 4)
        assert "code in it is never run" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("blocks.evil.x", torch.zeros(1)), ("pos_embed", torch.tensor(1.0)), ("t_embedder.mlp.0.weight", torch.tensor(1.0)),
        ("x_embedder.proj.weight", torch.zeros(3)), ("y_embedder.embedding_table.weight", torch.tensor(1.0)),
    ],
)  # fmt: skip
def test_an_official_checkpoint_of_senseless_tensors_is_one_line(name, value, tmp_path, capsys):
    save_tensors(tmp_path / "a.safetensors", {**golden("dit")[0], name: value})
    refused(capsys, "import", "dit", tmp_path / "a.safetensors", tmp_path / "out", "--num-heads", 4)


@pytest.mark.parametrize("facts", ['{"num_heads": "four"}', '{"num_heads": [1]}', '{"num_heads": 0}', "[1]", "{"])
def test_senseless_facts_are_one_line(facts, tmp_path, capsys):
    save_tensors(tmp_path / "a.safetensors", golden("dit")[0])
    refused(capsys, "import", "dit", tmp_path / "a.safetensors", tmp_path / "out", "--facts", facts)


def tensors_file(path, header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


@pytest.mark.parametrize(
    ("header", "data", "length"),
    [
        (b"{}", b"", 2**63), (b"{}", b"", 2**40), (b"{}", b"", 10), (b"[1]", b"", None), (b'{"a":' + b"[" * 50_000, b"", None),
        ({"a": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 0]}}, b"", None),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 400]}}, b"abcd", None),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}, b"abcd", None),
        ({n: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for n in "ab"}, b"abcd", None),
        ({"a": {"dtype": "object", "shape": [1], "data_offsets": [0, 4]}}, b"abcd", None),
    ],
)  # fmt: skip
def test_tricks_with_the_header_of_weights_are_one_line(header, data, length, tmp_path):
    path = tensors_file(tmp_path / "a.safetensors", header, data, length)
    with pytest.raises(FrisketError, match="not a whole safetensors file") as error:
        load_tensors(path)
    assert "\n" not in str(error.value)


def test_names_of_weights_are_no_paths(model, capsys):
    file = model / "model.safetensors"
    save_tensors(file, {**load_tensors(file), "../../evil": torch.zeros(1)})
    assert "unexpected: ../../evil" in refused(capsys, "sample", model)


def npy(header, data=b""):
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def zipped(content, method=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr("x.npy", content)
    return bytearray(out.getvalue())


def arrays(kind, trap):
    """The bytes of a hostile .npz."""
    fine = "{'descr': '<f4', 'fortran_order': False, 'shape': (%s, 1, 8, 8)}"
    if kind == "object array":
        out = io.BytesIO()
        np.savez(out, x=np.array([Payload(trap)], dtype=object))
        return out.getvalue()
    if kind == "damaged":
        archive = zipped(npy(fine % 20, os.urandom(20 * 256)), zipfile.ZIP_DEFLATED)
        archive[200:300] = b"\xff" * 100
        return bytes(archive)
    if kind in ("encrypted", "unknown method"):
        archive, at = zipped(npy(fine % 1, b"\0" * 256)), None
        at = archive.find(b"PK\x01\x02")
        if kind == "encrypted":
            archive[6], archive[at + 8] = 1, 1
        else:
            archive[8], archive[at + 10] = 99, 99
        return bytes(archive)
    headers = {
        "code": f"exec({trap!r})", "nested": "(" * 3000, "too large": fine % 10**12, "larger than a number": fine % 2**70,
        "negative": fine % -1, "pickled field": "{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,)}",
    }  # fmt: skip
    return bytes(zipped(npy(headers[kind], pickle.dumps(Payload(trap)))))


KINDS = ("object array", "damaged", "encrypted", "unknown method", "code", "nested", "too large", "larger than a number",
         "negative", "pickled field")  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_arrays_are_one_line(kind, tmp_path, capsys, trap):
    (tmp_path / "x.npz").write_bytes(arrays(kind, trap))
    said = refused(capsys, "train", "dit", *DIT, "--data", f"npz:{tmp_path / 'x.npz'}", "--out", tmp_path / "run")
    assert "cannot be read" in said
    assert not (tmp_path / "run").exists()


def picture():
    out = io.BytesIO()
    Image.new("L", (8, 8)).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "kind", "link"),
    [
        ("../../escaped.png", tarfile.REGTYPE, ""), ("/tmp/escaped.png", tarfile.REGTYPE, ""),
        ("a/../../escaped.png", tarfile.REGTYPE, ""), ("..\\escaped.png", tarfile.REGTYPE, ""),
        ("C:\\escaped.png", tarfile.REGTYPE, ""), ("a.png", tarfile.SYMTYPE, "/etc/passwd"),
        ("a.png", tarfile.LNKTYPE, "../escaped"), ("a.png", tarfile.CHRTYPE, ""), ("a.png", tarfile.FIFOTYPE, ""),
    ],
)  # fmt: skip
def test_members_that_leave_a_shard_are_refused(name, kind, link, tmp_path, capsys):
    shard = tmp_path / "inner" / "folder" / "a.tar"
    shard.parent.mkdir(parents=True)
    with tarfile.open(shard, "w") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, link
        member.size = len(picture()) if kind == tarfile.REGTYPE else 0
        archive.addfile(member, io.BytesIO(picture()))
    words = ["--data", f"wds:{shard}", "--data.size", 8, "--out", tmp_path / "run"]
    assert repr(name) in refused(capsys, "train", "dit", *DIT, *words)
    assert not list(tmp_path.rglob("*escaped*"))


def test_labels_beyond_64_bits_are_skipped(tmp_path):
    from frisket.data.wds import WebDataset

    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for k in range(30):
            for end, content in (("png", picture()), ("cls", b"9" * 30 if k == 3 else b"1")):
                member = tarfile.TarInfo(f"{k:02}.{end}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    stream = WebDataset(target=str(tmp_path), size=8, channels=1).open()
    assert set(stream.read(40)["label"].tolist()) == {1}
    assert list(stream.reader.skips.broken) == [f"{tmp_path / 'a.tar'}//03"]


def test_an_index_of_latents_cannot_name_other_folders(tmp_path):
    (tmp_path / "secret.safetensors").write_bytes(b"")
    (tmp_path / "set" / "train").mkdir(parents=True)
    index = {
        "format": 1, "shard_size": 2, "codec": None, "source": "", "vocabulary": None, "kind": "image", "shape": [1, 2, 2],
        "size": 2, "classes": [], "digest": "", "shards": [{"file": "../../secret.safetensors", "strings": []}],
    }  # fmt: skip
    for name in ("../../secret.safetensors", str(tmp_path / "secret.safetensors")):
        index["shards"][0]["file"] = name
        (tmp_path / "set" / "train" / "index.json").write_text(json.dumps(index))
        with pytest.raises(FrisketError, match="lacks the shard"):
            Latents(target=str(tmp_path / "set")).open()


def test_code_of_a_tokenizer_is_never_run(tmp_path, trap):
    pytest.importorskip("transformers")
    (tmp_path / "tok").mkdir()
    (tmp_path / "tok" / "mine.py").write_text(trap + "\nclass Mine:\n    pass\n")
    held = {"tokenizer_class": "Mine", "auto_map": {"AutoTokenizer": ["mine.Mine", None]}}
    (tmp_path / "tok" / "tokenizer_config.json").write_text(json.dumps(held))
    (tmp_path / "tok" / "config.json").write_text(
        json.dumps({"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine"}})
    )
    with pytest.raises(FrisketError, match="no tokenizer can be loaded") as error:
        Tokenizer(target=str(tmp_path / "tok")).build()
    assert "\n" not in str(error.value)


def test_code_of_a_set_is_never_run(tmp_path, trap):
    pytest.importorskip("datasets")
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "evil.py").write_text(trap)
    with pytest.raises(FrisketError, match="cannot be opened") as error:
        HuggingFace(target=str(tmp_path / "evil")).open()
    assert "\n" not in str(error.value)
    (tmp_path / "data.pkl").write_bytes(pickle.dumps(Payload(trap)))
    with pytest.raises(FrisketError, match="unknown kind of file"):
        HuggingFace(target=str(tmp_path / "data.pkl")).open()


def test_a_run_folder_that_names_code_is_refused(dit_run, tmp_path, capsys, trap):
    run = tmp_path / "run"
    shutil.copytree(dit_run, run)
    state = json.loads((run / "step-00000003" / "state.json").read_text())
    state["trainer"]["optimiser"] = {"part": "os.system", "command": trap}
    (run / "step-00000003" / "state.json").write_text(json.dumps(state))
    assert "trainer.optimiser was 'os.system'" in refused(capsys, "train", "dit", *DIT, "--out", run)
    (run / "config.json").write_text(
        json.dumps({"part": "experiment", "data": {"part": "builtins.exec", "code": trap}})
    )
    assert "unknown part 'builtins.exec'" in refused(capsys, "evaluate", run)
