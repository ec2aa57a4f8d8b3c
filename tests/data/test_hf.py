import io
import json

import pytest
import torch
from PIL import Image

from frisket.core import FrisketError
from frisket.data import hf
from frisket.data.hf import HuggingFace

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def picture(k) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (6, 6), (k, 0, 0)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def parquet(tmp_path):
    rows = {
        "image": [{"bytes": b"broken" if k == 13 else picture(k), "path": None} for k in range(40)],
        "label": [k % 3 for k in range(40)], "caption": [f"red {k}" for k in range(40)],
    }  # fmt: skip
    features = datasets.Features({
        "image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b", "c"]),
        "caption": datasets.Value("string"),
    })  # fmt: skip
    folder = tmp_path / "set"
    folder.mkdir()
    whole = datasets.Dataset.from_dict(rows, features=features)
    for part in range(2):
        whole.select(range(20 * part, 20 * part + 20)).to_parquet(folder / f"train-0000{part}-of-00002.parquet")
    return folder


def reds(batch):
    return [round(v) for v in (batch["x"][:, 0, 0, 0] * 255).tolist()]


def test_a_local_folder_of_parquet_files(parquet):
    config = HuggingFace(target=str(parquet), size=6, buffer=8)
    stream = config.open()
    assert stream.info.classes == ("a", "b", "c")
    assert stream.info.shape == (3, 6, 6)
    batch = stream.read(35)
    found = reds(batch)
    assert sorted(found) == [k for k in range(40) if k % 10 != 9 and k != 13]
    assert found != sorted(found)
    assert batch["label"].tolist() == [k % 3 for k in found]
    assert batch["caption"] == [f"red {k}" for k in found]
    assert batch["id"].tolist() == found
    assert len(stream.reader.skips.broken) == 1
    assert reds(config.open("test").read(5)) == [9, 19, 29, 39, 9]


@pytest.mark.parametrize("before", [0, 3, 8, 20, 35, 50])
def test_a_state_resumes_exactly(parquet, before):
    config = HuggingFace(target=str(parquet), size=6, buffer=8)
    stream = config.open()
    if before:
        stream.read(before)
    state = json.loads(json.dumps(stream.state()))
    want = stream.read(40)
    resumed = config.open()
    resumed.restore(state)
    got = resumed.read(40)
    assert reds(got) == reds(want)
    assert torch.equal(got["id"], want["id"])


def test_texts_and_a_test_split_of_their_own(tmp_path):
    for split in ("train", "test"):
        lines = "\n".join(json.dumps({"text": f"{split} {k}", "label": k}) for k in range(12))
        (tmp_path / f"{split}.jsonl").write_text(lines)
    config = HuggingFace(target=str(tmp_path), test_split="test", buffer=1)
    assert config.open().read(2)["x"] == ["train 0", "train 1"]
    batch = config.open("test").read(13)
    assert batch["x"][-2:] == ["test 11", "test 0"]
    assert batch["label"].tolist()[-2:] == [11, 0]
    one = HuggingFace(target=str(tmp_path / "train.jsonl"), buffer=1, column="text").open()
    assert one.info.kind == "text"
    assert one.read(1)["x"] == ["train 0"]


def test_an_image_folder(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "train" / name).mkdir(parents=True)
        for k in range(4):
            (tmp_path / "train" / name / f"{k}.png").write_bytes(picture(k + (name == "dog") * 100))
    stream = HuggingFace(target=str(tmp_path), size=6, holdout=100, buffer=1).open()
    batch = stream.read(8)
    assert stream.info.classes == ("cat", "dog")
    assert [label == (red >= 100) for red, label in zip(reds(batch), batch["label"].tolist(), strict=True)] == [
        True
    ] * 8


def test_the_digest_follows_the_files_or_the_commit(parquet, monkeypatch):
    first = HuggingFace(target=str(parquet)).open().info.digest
    assert len(first) == 12
    (parquet / "more.txt").write_text("x")
    assert HuggingFace(target=str(parquet)).open("test").info.digest != first

    class Api:
        def dataset_info(self, name, revision):
            return type("Found", (), {"sha": "0123456789abcdef"})

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    assert hf._digest(HuggingFace(target="someone/something")) == "0123456789ab"


def test_refusals(parquet, tmp_path):
    with pytest.raises(FrisketError, match="unknown column"):
        HuggingFace(target=str(parquet), column="picture").open()
    with pytest.raises(FrisketError, match="split 'valid'") as caught:
        HuggingFace(target=str(parquet), train_split="valid").open()
    assert "\n" not in str(caught.value)
    with pytest.raises(FrisketError, match="cannot be opened"):
        HuggingFace(target=str(tmp_path / "gone")).open()
    (tmp_path / "a.bin").write_text("x")
    with pytest.raises(FrisketError, match="kind of file"):
        HuggingFace(target=str(tmp_path / "a.bin")).open()
    with pytest.raises(FrisketError, match="more than skip_limit = 0"):
        HuggingFace(target=str(parquet), size=6, skip_limit=0).open().read(40)
