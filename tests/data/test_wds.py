import io
import json
import tarfile

import pytest
import torch
from PIL import Image

from frisket.core import FrisketError
from frisket.data.wds import WebDataset, expand, find_shards, samples_of


def picture(k) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (6, 6), (k, 0, 0)).save(out, "PNG")
    return out.getvalue()


def member(name, size=0, kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, link
    return info


def write(path, files, **options):
    with tarfile.open(path, "w", **options) as archive:
        for name, content in files:
            archive.addfile(member(name, len(content)), io.BytesIO(content))


@pytest.fixture
def shards(tmp_path):
    for s in range(4):
        files = []
        for k in range(10):
            n = 10 * s + k
            files += [(f"{n:04}.png", picture(n)), (f"{n:04}.cls", str(n % 3).encode()), (f"{n:04}.txt", b"red %d" % n)]
        write(tmp_path / f"part-{s}.tar", files)
    return tmp_path


def drain(stream, n):
    batch = stream.read(n)
    return [round(v) for v in (batch["x"][:, 0, 0, 0] * 255).tolist()], batch


def test_every_sample_comes_once_an_epoch_in_one_of_the_splits(shards):
    config = WebDataset(target=str(shards), size=6, holdout=4, buffer=7)
    test, train = [], []
    for split, out in (("train", train), ("test", test)):
        stream = config.open(split)
        while stream.epoch == 0:
            out += drain(stream, 1)[0]
        out.pop()  # the first of the next epoch
    assert sorted(train + test) == list(range(40))
    assert 2 <= len(test) <= 20
    assert test == sorted(test)
    assert train != sorted(train)


def test_labels_captions_and_pictures_belong_together(shards):
    reds, batch = drain(WebDataset(target=str(shards / "part-{0..3}.tar"), size=6).open(), 30)
    assert batch["label"].tolist() == [n % 3 for n in reds]
    assert batch["caption"] == [f"red {n}" for n in reds]
    assert batch["id"].dtype == torch.int64


@pytest.mark.parametrize("before", [0, 1, 9, 10, 35, 36, 37, 75])
def test_a_state_resumes_exactly(shards, before):
    config = WebDataset(target=str(shards), size=6, buffer=5, seed=2)
    stream = config.open()
    if before:
        stream.read(before)
    state = json.loads(json.dumps(stream.state()))
    want, want_batch = drain(stream, 50)
    resumed = config.open()
    resumed.restore(state)
    got, batch = drain(resumed, 50)
    assert got == want
    assert torch.equal(batch["id"], want_batch["id"])


def test_what_the_library_writes_is_read(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    with webdataset.TarWriter(str(tmp_path / "a.tar")) as sink:
        for k in range(12):
            sink.write({"__key__": f"dir/{'x' * 120}{k}", "png": picture(k), "cls": k, "txt": f"no {k}"})
    config = WebDataset(target=str(tmp_path), size=6, holdout=10**6, buffer=1)
    stream = config.open()
    assert drain(stream, 3)[0] == [0, 1, 2]
    resumed = config.open()  # long names have headers of several blocks
    resumed.restore(stream.state())
    assert drain(resumed, 9)[0] == list(range(3, 12))


@pytest.mark.parametrize("entry", [
    member("../escape.png"), member("/etc/passwd.png"), member("a/../../b.png"), member("C:\\b.png"),
    member("..\\b.png"),
    member("a.png", kind=tarfile.SYMTYPE, link="/etc/passwd"), member("a.png", kind=tarfile.LNKTYPE, link="b"),
    member("a.png", kind=tarfile.FIFOTYPE),
], ids=lambda m: m.name + m.type.decode())  # fmt: skip
def test_hostile_members_are_refused_by_name(tmp_path, entry):
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        archive.addfile(member("ok.png", 0))
        archive.addfile(entry)
    with pytest.raises(FrisketError, match=r"bad\.tar holds") as caught:
        WebDataset(target=str(tmp_path)).open().read(1)
    assert "\n" not in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.tar"]


def test_broken_samples_and_shards_are_skipped_up_to_the_limit(shards):
    (shards / "part-1.tar").write_bytes(b"not an archive at all" * 100)
    data = (shards / "part-2.tar").read_bytes()
    (shards / "part-2.tar").write_bytes(data[: len(data) // 2])
    write(shards / "part-4.tar", [("a.png", b"broken"), ("a.cls", b"1"), ("a.txt", b""), ("b.cls", b"1")])
    config = WebDataset(target=str(shards), size=6, holdout=10**6, buffer=1, seed=1)
    stream = config.open()
    reds = []
    while stream.epoch == 0:
        reds += drain(stream, 1)[0]
    assert set(range(10)) | set(range(30, 40)) <= set(reds)
    assert not set(range(10, 20)) & set(reds)
    names = {name.removeprefix(str(shards) + "/") for name in stream.reader.skips.broken}
    assert names == {"part-1.tar", "part-2.tar", "part-4.tar//a", "part-4.tar//b"}
    with pytest.raises(FrisketError, match="more than skip_limit = 1"):
        WebDataset(target=str(shards), size=6, skip_limit=1).open().read(60)


def test_a_damaged_header_inside_a_shard_is_noticed(shards):
    data = bytearray((shards / "part-0.tar").read_bytes())
    with tarfile.open(shards / "part-0.tar") as archive:
        at = archive.getmembers()[15].offset
    data[at : at + 512] = b"\xff" * 512
    with pytest.raises(tarfile.ReadError, match=f"byte {at}"):
        list(samples_of(io.BytesIO(bytes(data)), "part-0.tar"))


def test_shards_are_named_by_braces_folders_and_urls(shards):
    assert expand("a-{008..010}-{x,y}.tar")[:3] == ["a-008-x.tar", "a-008-y.tar", "a-009-x.tar"]
    assert find_shards("https://host/{0..1}.tar") == ["https://host/0.tar", "https://host/1.tar"]
    assert [s.rsplit("/", 1)[1] for s in find_shards(str(shards))] == [f"part-{s}.tar" for s in range(4)]
    with pytest.raises(FrisketError, match="does not exist"):
        WebDataset(target=str(shards / "part-{0..4}.tar")).open()
    url = f"file://{shards}/part-0.tar"
    assert drain(WebDataset(target=url, size=6, buffer=1, holdout=10**6).open(), 2)[0] == [0, 1]
