import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.codecs.text import Bytes, Characters, Ids, Words
from frisket.core import FrisketError
from frisket.data.base import Info
from frisket.data.digits import Digits
from frisket.data.text import Text
from frisket.data.toys import Permutations

characters = st.characters(exclude_categories=["Cs"])


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 12).flatmap(lambda n: st.lists(st.text(characters, min_size=n, max_size=n), min_size=1, max_size=5))
)
def test_characters_round_trip(x):
    codec = Characters(alphabet="".join(sorted(set("".join(x))))).build()
    state = codec.encode(x)
    assert state.shape == (len(x), len(x[0]))
    assert codec.decode(state) == x
    assert torch.equal(codec.encode(codec.decode(state)), state)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(characters, max_size=20), min_size=1, max_size=5), st.integers(1, 40))
def test_bytes_round_trip_what_fits_and_cut_at_whole_characters(x, length):
    codec = Bytes(length=length).build()
    state, valid = codec.encode(x), codec.valid(x)
    assert state.shape == valid.shape == (len(x), length)
    assert (state[~valid] == 0).all()
    for text, back, size in zip(x, codec.decode(state), valid.sum(1).tolist(), strict=True):
        whole = len(text.encode()) <= length
        assert text.rstrip("\0") == back if whole else text.startswith(back) or back == text[: len(back)].rstrip("\0")
        assert size == len(text.encode()) if whole else length - 3 <= size <= length


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9).flatmap(lambda n: st.lists(
    st.lists(st.sampled_from(["to", "be", "or", "not", "é"]), min_size=n, max_size=n), min_size=1, max_size=4)
))  # fmt: skip
def test_words_round_trip(x):
    codec = Words(words=("or", "be", "to", "not", "é")).build()
    texts = [" ".join(words) for words in x]
    assert codec.decode(codec.encode(texts)) == texts


def test_ids_are_places_in_the_alphabet():
    assert Characters(alphabet="xab").build().encode(["ab", "xx"]).tolist() == [[1, 2], [0, 0]]
    assert Words(words=("b", "a")).build().encode(["a b zzz"]).tolist() == [[1, 0, 2]]
    assert Bytes(length=3).encode(["a"]).tolist() == [[97, 0, 0]]


def test_the_whole_embedded_corpus_is_in_the_fitted_alphabet():
    train, test = Text().open("train"), Text().open("test")
    codec = Characters().fit(train).build()
    for source in (train, test):
        assert codec.decode(codec.encode([source.text])) == [source.text]
    assert codec.spec(train.info).vocabulary == len(codec.alphabet)
    assert codec.spec(train.info).shape == (64,)


def test_a_limit_keeps_the_most_frequent_words_and_the_rest_is_unknown():
    source = Text(unit="words", length=20).open()
    codec = Words(limit=100).fit(source).build()
    assert len(codec.words) == 100
    assert codec.words == source.info.extra["words"][:100]
    assert codec.spec(source.info).vocabulary == 101
    state = codec.encode(source.batch(torch.arange(50))["x"])
    assert (state == 100).any()
    assert "<unk>" in codec.decode(state)[int((state == 100).any(1).int().argmax())]
    strict = Words(words=codec.words, unknown="").build()
    with pytest.raises(FrisketError, match="the word 'zzz'"):
        strict.encode(["the zzz"])


def test_fitting_leaves_what_is_set():
    assert Characters(alphabet="ab").fit(Text().open()).alphabet == "ab"
    assert Words(words=("a",)).fit(Text(unit="words").open()).words == ("a",)
    assert Ids(vocabulary=99).fit(Permutations().open()).vocabulary == 99


def test_ids_pass_through_within_their_range():
    source = Permutations(length=6).open()
    codec = Ids().fit(source).build()
    x = source.batch(torch.arange(4))["x"]
    assert torch.equal(codec.decode(codec.encode(x)), x)
    assert codec.spec(source.info).vocabulary == 6
    for bad in (x + 1, x - 1):
        with pytest.raises(FrisketError, match=r"not all in 0\.\.5"):
            codec.encode(bad)
    with pytest.raises(FrisketError, match="whole numbers"):
        codec.encode(x.float())


def test_what_cannot_be_encoded_is_refused():
    codec = Characters(alphabet="ab").build()
    for x, message in (
        (["ab", "a"], "equally long"),
        (["ac"], "the character 'c'"),
        (["a\U0001f600"], "alphabet of 2"),
    ):
        with pytest.raises(FrisketError, match=message):
            codec.encode(x)
    with pytest.raises(FrisketError, match=r"ids 0\.\.2"):
        codec.decode(torch.tensor([[0, 2]]))
    with pytest.raises(FrisketError, match="free of repetitions"):
        Characters(alphabet="aa")
    with pytest.raises(FrisketError, match="equally long"):
        Words(words=("a",)).build().encode(["a a", "a"])
    for config in (Characters(), Words(), Ids()):
        with pytest.raises(FrisketError, match="set or fitted"):
            config.build()
        with pytest.raises(FrisketError, match="does not state its"):
            config.fit(Digits().open())
    with pytest.raises(FrisketError, match="does not state its length"):
        codec.spec(Info(kind="text"))
