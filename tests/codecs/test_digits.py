import pytest
import torch

from frisket.codecs.digits import Digits
from frisket.codecs.text import Characters
from frisket.core import FrisketError
from frisket.data.text import Text
from frisket.testing import check_codec, check_config

TEXT = Text(length=12)
SOURCE = TEXT.open("train")
FITTED = Digits(inner=Characters(), count=3).fit(SOURCE)


def test_it_is_a_codec_that_gives_back_what_it_read():
    check_config(FITTED)
    check_codec(FITTED, SOURCE.batch(torch.arange(4))["x"], SOURCE.info, error=0)


def test_the_state_spells_the_inner_codecs_ids():
    spec = FITTED.build().spec(SOURCE.info)
    inner = FITTED.inner.build().spec(SOURCE.info)
    assert spec.symbols == inner.vocabulary
    assert spec.shape == (12, 3)
    assert (spec.vocabulary - 1) ** 3 < inner.vocabulary <= spec.vocabulary**3


def test_codes_that_spell_nothing_decode_to_the_last_id():
    codec = Digits(inner=Characters(alphabet="abcde"), count=2, vocabulary=5).build()
    assert codec.base == 3
    assert codec.decode(torch.full((1, 2, 2), 2)) == ["ee"]
    assert torch.equal(codec.encode(["ad"]), torch.tensor([[[0, 0], [1, 0]]]))


def test_what_it_cannot_split_is_refused():
    with pytest.raises(FrisketError, match="fit"):
        Digits().build()
    with pytest.raises(FrisketError, match="count"):
        Digits(count=0)
