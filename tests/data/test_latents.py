import json

import pytest
import torch

from frisket.codecs.pixels import Pixels
from frisket.codecs.text import Characters
from frisket.core import FrisketError
from frisket.data.digits import Digits
from frisket.data.latents import Latents, write_latents
from frisket.data.loader import Loader
from frisket.data.text import Text
from frisket.data.toys import Parity


class Captioned:
    """Digits with captions and a boolean map."""

    def __init__(self):
        self.digits = Digits().open("test")
        self.info = self.digits.info

    def batch(self, ids):
        batch = self.digits.batch(ids)
        return {**batch, "caption": [f"digit {i}" for i in batch["label"].tolist()], "valid": batch["x"] > 0.5}


class Noisy(Pixels):
    """A codec with a posterior of its own."""

    def encode(self, x, draw=None):
        return x * 3 if draw is None else x * 3 + draw


def test_what_is_read_is_what_the_codec_gives(tmp_path):
    source, codec = Captioned(), Pixels()
    write_latents(source, codec.build(), tmp_path, split="test", shard_size=100, batch=33, config=codec)
    cached = Latents(target=str(tmp_path), cached=2).open("test")
    ids = torch.tensor([358, 0, 99, 100, 250, 99])
    want, got = source.batch(ids), cached.batch(ids)
    assert torch.equal(got["x"], codec.encode(want["x"]))
    assert torch.equal(got["label"], want["label"])
    assert torch.equal(got["valid"], want["valid"])
    assert got["caption"] == want["caption"]
    assert torch.equal(got["id"], ids)
    assert (cached.info.size, cached.info.shape, cached.info.classes) == (359, (1, 8, 8), source.info.classes)
    assert cached.info.extra["codec"]["part"] == "codec/pixels"
    assert not list(tmp_path.rglob(".*"))


def test_posterior_samples_do_not_depend_on_the_batch(tmp_path):
    source = Digits().open("test")
    for name, batch, shard in (("a", 7, 100), ("b", 64, 1000)):
        write_latents(source, Noisy(), tmp_path / name, split="test", batch=batch, shard_size=shard, draw_seed=4)
    write_latents(source, Noisy(), tmp_path / "c", split="test", draw_seed=5)
    ids = torch.arange(359)
    a, b, c = (Latents(target=str(tmp_path / n)).open("test").batch(ids)["x"] for n in "abc")
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert (a - 3 * source.batch(ids)["x"]).std().item() == pytest.approx(1, abs=0.02)


def test_ids_keep_their_vocabulary_and_strings_become_states(tmp_path):
    source = Text(length=2000).open("test")
    codec = Characters().fit(source)
    write_latents(source, codec.build(), tmp_path, split="test", shard_size=8, config=codec)
    cached = Latents(target=str(tmp_path)).open("test")
    assert cached.info.kind == "ids"
    assert cached.info.extra["vocabulary"] == len(codec.alphabet)
    x = cached.batch(torch.tensor([9, 2]))["x"]
    assert codec.decode(x) == source.batch(torch.tensor([9, 2]))["x"]


def test_workers_read_the_same(tmp_path):
    write_latents(Digits().open(), Pixels(), tmp_path, shard_size=500)
    source = Latents(target=str(tmp_path)).open()
    source.batch(torch.tensor([0]))
    batches = [next(iter(Loader(source, batch=8, workers=w)))["x"] for w in (0, 1)]
    assert torch.equal(*batches)


def test_progress_is_told_and_a_second_writing_refused(tmp_path):
    calls = []
    write_latents(Digits().open("test"), Pixels(), tmp_path, batch=200, progress=lambda *a: calls.append(a))
    assert calls == [(200, 359), (359, 359)]
    with pytest.raises(FrisketError, match="already holds latents"):
        write_latents(Digits().open("test"), Pixels(), tmp_path)


def test_an_unfinished_or_damaged_folder_is_refused(tmp_path):
    with pytest.raises(FrisketError, match="endless"):
        write_latents(Parity().open(), Pixels(), tmp_path)
    with pytest.raises(FrisketError, match="does not exist"):
        Latents(target=str(tmp_path / "gone")).open()

    class Failing(Noisy):
        def encode(self, x, draw=None):
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        write_latents(Digits().open(), Failing(), tmp_path)
    with pytest.raises(FrisketError, match="no whole index"):
        Latents(target=str(tmp_path)).open()
    path = write_latents(Digits().open(), Pixels(), tmp_path)
    (path / "shard-00000.safetensors").write_bytes(b"broken")
    with pytest.raises(FrisketError, match="cannot be read"):
        Latents(target=str(tmp_path)).open().batch(torch.tensor([0]))
    index = json.loads((path / "index.json").read_text())
    index["shards"][0]["file"] = "../../elsewhere.safetensors"
    (path / "index.json").write_text(json.dumps(index))
    with pytest.raises(FrisketError, match="lacks the shard"):
        Latents(target=str(tmp_path)).open()
