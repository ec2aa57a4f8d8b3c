import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.codecs.sentences import Sentences
from frisket.core import FrisketError, from_config, to_config
from frisket.data.base import Info
from frisket.data.scenes import Scenes
from frisket.data.scenes.vocabulary import CLASSES, COLOURS

WORDS = ("a", "red", "three", ",", "on", "navy", ".")
CODEC = Sentences(words=WORDS, length=8)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(("a", "red", "three", "on", "navy")), min_size=0, max_size=8))
def test_sentences_come_back(words):
    text = " ".join(words)
    ids = CODEC.encode([text])
    assert ids.shape == (1, 8)
    assert CODEC.decode(ids) == [text]
    assert CODEC.valid([text]).sum() == len(words)


def test_marks_stand_at_their_word():
    ids = CODEC.encode(["a red three, on navy."])
    assert ids.tolist() == [[1, 2, 3, 4, 5, 6, 7, 0]]
    assert CODEC.decode(ids) == ["a red three, on navy."]


def test_what_it_does_not_know_is_named():
    with pytest.raises(FrisketError, match="unknown word 'thre'; did you mean 'three'"):
        CODEC.encode(["a thre"])
    with pytest.raises(FrisketError, match="words of a sentence = 9"):
        CODEC.encode(["a " * 9])
    with pytest.raises(FrisketError, match="ids 0..99"):
        CODEC.decode(torch.tensor([[0, 99]]))
    for empty in (Sentences(), Sentences(words=("a",))):
        with pytest.raises(FrisketError, match="set or fitted"):
            empty.build()


def test_another_word_may_have_an_id():
    open_ = Sentences(words=("a",), length=3, unknown="<unk>")
    assert open_.encode(["a b"]).tolist() == [[1, 2, 0]]
    assert open_.decode(open_.encode(["a b"])) == ["a <unk>"]
    assert open_.vocabulary == 3


def test_it_is_fitted_to_the_most_frequent_words_and_the_longest_sentence():
    fitted = Sentences().fit_to(["red one", "red two two", "red"])
    assert fitted.words == ("red", "two", "one")
    assert fitted.length == 3
    assert fitted.vocabulary == 4
    assert fitted.spec(Info(kind="text")).shape == (3,)
    assert fitted.fit_to(["other words"]) == fitted
    assert from_config(to_config(fitted)) == fitted


def test_captions_of_scenes_are_covered():
    source = Scenes(size=(8, 8)).open("train")
    captions = source.batch(torch.arange(400))["caption"]

    class Captions:
        info = Info(kind="text", size=400)

        def batch(self, ids):
            return {"x": captions}

    fitted = Sentences().fit(Captions())
    assert set(CLASSES) < set(fitted.words)
    assert set(COLOURS[:8]) < set(fitted.words)
    assert fitted.fit(Captions()) is fitted
    assert fitted.decode(fitted.encode(captions)) == captions
