import pytest
import torch

from frisket.codecs import Spec
from frisket.codecs.pixels import Pixels
from frisket.codecs.text import Bytes, Characters, Ids, Words
from frisket.core import from_config, to_config
from frisket.data.digits import Digits
from frisket.data.sudoku import Sudoku
from frisket.data.text import Text

PAIRS = [
    (Pixels(fitted=True), Digits()), (Characters(), Text(length=16)), (Words(limit=50), Text(unit="words", length=9)),
    (Bytes(length=12), Text(length=16)), (Ids(), Sudoku(size=4, clues=6)),
]  # fmt: skip


@pytest.mark.parametrize(("config", "data"), PAIRS, ids=lambda v: v.part_name)
def test_a_fitted_codec_states_the_shape_it_gives_and_survives_saving(config, data):
    source = data.open()
    fitted = config.fit(source)
    codec, x = fitted.build(), source.batch(torch.arange(5))["x"]
    state, spec = codec.encode(x), codec.spec(source.info)
    assert isinstance(spec, Spec)
    assert state.shape == (5, *spec.shape)
    if spec.kind == "ids":
        assert state.dtype == torch.int64
        assert int(state.max()) < spec.vocabulary
    else:
        assert spec.vocabulary is None
    again = from_config(to_config(fitted))
    assert again == fitted
    assert torch.equal(again.build().encode(x), state)
    assert torch.equal(codec.encode(codec.decode(state)), state) or spec.kind == "continuous"
