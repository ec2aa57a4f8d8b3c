import pytest
import torch

from frisket.codecs.encoded import Encoded
from frisket.codecs.pixels import Pixels
from frisket.core import FrisketError, from_config, to_config
from frisket.data.digits import Digits
from frisket.data.latents import Latents, write_latents


def test_stored_states_decode_with_the_codec_that_wrote_them(tmp_path):
    source, config = Digits().open("test"), Pixels(mean=(0.3,), std=(2.0,))
    write_latents(source, config.build(), tmp_path, split="test", config=config)
    cached = Latents(target=str(tmp_path)).open("test")
    fitted = Encoded().fit(cached)
    assert fitted.codec == config
    assert from_config(to_config(fitted)) == fitted
    codec, ids = fitted.build(), torch.arange(7)
    state = codec.encode(cached.batch(ids)["x"])
    assert torch.equal(state, config.encode(source.batch(ids)["x"]))
    assert torch.allclose(codec.decode(state), source.batch(ids)["x"], atol=1e-6)
    assert codec.spec(cached.info) == config.spec(source.info)


def test_an_unknown_writer_must_be_named(tmp_path):
    write_latents(Digits().open(), Pixels(), tmp_path)
    cached = Latents(target=str(tmp_path)).open()
    with pytest.raises(FrisketError, match="the codec that encoded the set"):
        Encoded().fit(cached)
    with pytest.raises(FrisketError, match="set or fitted"):
        Encoded().build()
    assert Encoded(codec=Pixels()).fit(cached).build().inner == Pixels()
