from dataclasses import replace

import pytest
import torch
from sampling_fakes import tiny_pipeline

from frisket.codecs.readers import Reader
from frisket.codecs.sentences import Sentences
from frisket.core import FrisketError
from frisket.data.base import Info
from frisket.models.doors import Door
from frisket.models.layers.embedders import TextIds
from frisket.sampling.conditions import class_counts, read_conditions

INFO = Info(kind="image", shape=(1, 8, 8), classes=("cat", "dog", "owl"))
COUNTS = {"label": 3}
CPU = torch.device("cpu")


def read(n=2, **values):
    return read_conditions(values, n, COUNTS, INFO, CPU)


def test_one_for_all_or_one_for_each():
    for value in (1, "dog", [1, 1], ["dog", "dog"], torch.tensor([1, 1]), torch.tensor(1)):
        assert read(label=value).values["label"].tolist() == [1, 1]
        assert read(label=value).values["label"].dtype == torch.int64
    assert read(strength=0.5).values["strength"].tolist() == [0.5, 0.5]
    assert read(map=torch.zeros(2, 1, 4, 4)).values["map"].shape == (2, 1, 4, 4)


def test_none_is_the_null():
    cond = read(label=None)
    assert cond.dropped("label").tolist() == [True, True]


def test_nothing_given():
    assert read() is None


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"label": 3}, "between 0 and 2"),
        ({"label": -1}, "between 0 and 2"),
        ({"label": [0, 7]}, "label = 7"),
        ({"label": 0.5}, "integer"),
        ({"label": "dgo"}, "did you mean 'dog'"),
        ({"label": [0, 1, 2]}, "one a sample"),
        ({"caption": "a dog"}, "no named classes"),
        ({"label": object()}, "object"),
    ],
)
def test_what_does_not_fit(values, match):
    with pytest.raises(FrisketError, match=match):
        read(**values)


def test_texts_go_through_their_reader():
    reader = Reader(codec=Sentences(words=("red", "one"), length=2)).build(INFO)
    cond = read_conditions({"caption": ["red one", None], "label": 1}, 2, COUNTS, INFO, CPU, {"caption": reader})
    assert cond.values["caption"].tolist() == [[1, 2], [0, 0]]
    assert cond.dropped("caption").tolist() == [False, True]
    assert cond.dropped("label").tolist() == [False, False]


def test_counts_come_from_the_model_then_the_data():
    pipeline = tiny_pipeline(classes=4)
    assert class_counts(pipeline.model, pipeline.info) == {"label": 4}
    assert class_counts(object(), INFO) == {"label": 3}
    assert class_counts(object(), Info(kind="image")) == {}
    pipeline.model.config = replace(
        pipeline.model.config, doors=(Door(name="caption", way="context", embedder=TextIds()),)
    )
    assert class_counts(pipeline.model, pipeline.info) == {}, "a model that reads captions alone has no classes"
