import pytest
import torch

from frisket.codecs.tokenizer import Tokenizer, TokenizerCodec
from frisket.core import FrisketError
from frisket.data.base import Info

transformers = pytest.importorskip("transformers")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    from tokenizers import Tokenizer as Fast
    from tokenizers import models, pre_tokenizers

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    words = ["[PAD]", "[UNK]", "a", "red", "square", "circle"]
    fast = Fast(models.WordLevel({w: k for k, w in enumerate(words)}, unk_token="[UNK]"))
    fast.pre_tokenizer = pre_tokenizers.Whitespace()
    held = transformers.PreTrainedTokenizerFast(tokenizer_object=fast, pad_token="[PAD]", unk_token="[UNK]")
    held.save_pretrained(tmp_path / "tok")
    return tmp_path / "tok"


def test_texts_are_padded_cut_and_come_back(folder):
    codec = Tokenizer(target=str(folder), length=4).build()
    x = ["a red square", "a", "", "a red circle a red"]
    state = codec.encode(x)
    assert state.tolist() == [[2, 3, 4, 0], [2, 0, 0, 0], [0, 0, 0, 0], [2, 3, 5, 2]]
    assert codec.valid(x).sum(1).tolist() == [3, 1, 0, 4]
    assert codec.decode(state) == ["a red square", "a", "", "a red circle a"]
    spec = codec.spec(Info(kind="text"))
    assert (spec.shape, spec.vocabulary) == ((4,), 6)
    assert int(state.max()) < spec.vocabulary
    assert torch.equal(codec.encode(codec.decode(state)), state)


def test_the_end_token_pads_where_there_is_no_other_and_one_is_needed(folder):
    class Bare:
        pad_token_id, eos_token_id = None, 3

        def __call__(self, texts, **options):
            return {"input_ids": [[7] for _ in texts]}

    assert TokenizerCodec(Bare(), 3).encode(["x"]).tolist() == [[7, 3, 3]]
    Bare.eos_token_id = None
    with pytest.raises(FrisketError, match="neither a padding nor an end token"):
        TokenizerCodec(Bare(), 3)


def test_a_missing_tokenizer_is_refused_in_one_line(folder, tmp_path):
    with pytest.raises(FrisketError, match="no tokenizer can be loaded") as caught:
        Tokenizer(target=str(tmp_path / "gone")).build()
    assert "\n" not in str(caught.value)
    with pytest.raises(FrisketError, match=r"codec\.length"):
        Tokenizer(target="x", length=0)
