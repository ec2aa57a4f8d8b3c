import pytest
import torch

from frisket.codecs.pixels import Pixels
from frisket.codecs.readers import Reader, ReadSource, encoded_batch
from frisket.core import FrisketError, from_config, to_config
from frisket.data.base import Info

CAPTIONS = ["red one", "two", "blue two , one"]


class Captioned:
    info = Info(kind="image", shape=(1, 2, 2), size=3)

    def batch(self, ids):
        return {
            "x": ids.float().view(-1, 1, 1, 1).expand(-1, 1, 2, 2) / 3,
            "caption": [CAPTIONS[i] for i in ids.tolist()],
        }


@pytest.fixture
def reader():
    return Reader().fit(Captioned()).build(Captioned.info)


def test_a_reader_is_fitted_to_its_own_part_of_the_set(reader):
    assert set(reader.config.codec.words) == {"red", "one", "two", "blue", ","}
    assert reader.spec.shape == (4,)
    assert reader.spec.vocabulary == 6
    assert reader.pad == 0
    assert from_config(to_config(reader.config)) == reader.config
    with pytest.raises(FrisketError, match="wants 'title', but the data offers caption, x"):
        Reader(key="title").fit(Captioned())


def test_a_batch_and_a_user_say_the_same(reader):
    batch = Captioned().batch(torch.arange(3))
    rows, nothing = reader.of_value("caption", CAPTIONS, 3)
    assert torch.equal(reader.of_batch(batch), rows)
    assert nothing == [False] * 3
    assert torch.equal(reader.of_value("caption", rows, 3)[0], rows)
    assert torch.equal(reader.of_value("caption", "two", 2)[0], rows[[1, 1]])


def test_nothing_is_the_null(reader):
    rows, nothing = reader.of_value("caption", ["two", None], 2)
    assert nothing == [False, True]
    assert not rows[1].any()
    assert reader.of_value("caption", None, 2)[1] == [True, True]


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (["two"], "rows of caption = 1"),
        (torch.zeros(1, 4, dtype=torch.int64), "rows of caption"),
        (torch.zeros(2, 5, dtype=torch.int64), "caption.shape"),
        (3, "a text, a list of texts"),
        ([1, 2], "a text, a list of texts"),
        ("tow", "did you mean 'two'"),
    ],
)
def test_what_does_not_fit(reader, value, match):
    with pytest.raises(FrisketError, match=match):
        reader.of_value("caption", value, 2)


def test_images_are_read_by_a_codec_of_images():
    reader = Reader(key="x", codec=Pixels()).fit(Captioned()).build(Captioned.info)
    assert reader.spec.shape == (1, 2, 2)
    images = Captioned().batch(torch.arange(2))["x"]
    assert torch.equal(reader.of_value("low", images, 2)[0], Pixels().encode(images))


def test_a_set_as_a_model_reads_it(reader):
    source = ReadSource(Captioned(), {"said": reader})
    batch = source.batch(torch.tensor([2]))
    assert batch["said"].shape == (1, 4)
    assert source.info is Captioned.info
    assert torch.equal(encoded_batch(Captioned().batch(torch.tensor([2])), "said", {"said": reader}), batch["said"])
    with pytest.raises(FrisketError, match="reads 'label', but the data offers caption, x"):
        encoded_batch(Captioned().batch(torch.tensor([2])), "label", {})
