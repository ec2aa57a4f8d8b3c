"""The folded computation is the masked one, in numbers, in what depends on what, and in what it counts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core import Condition, FrisketError
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch, repeat
from frisket.models.count import count_attention_macs
from frisket.models.doors import Door
from frisket.models.layers.attention import Attention
from frisket.models.layers.embedders import TextIds
from frisket.models.layers.ends import Patches, PatchesOut
from frisket.models.layers.ffn import Gelu
from frisket.models.layers.norms import LayerNorm
from frisket.models.layers.positions import RelativeBias, Rotary
from frisket.models.layers.segment_attention import SegmentAttention
from frisket.models.masks.tags import Segments, Streams
from frisket.models.segments import Prompts, Segmented
from frisket.testing.backbones import stir

MASK = Segments() | Streams(pairs=((0, 0),))


def network(mixer, scenes=3, words=2, depth=2, **changes):
    block = Block(branches=(Branch(name="attn", mixer=mixer), Branch(name="ffn", mixer=Gelu(ratio=2.0))))
    config = Transformer(
        width=24, heads=2, input=Segmented(of=Patches(channels=2, size=(scenes, 4, 2), patch=(1, 2, 1)), count=scenes),
        output=PatchesOut(channels=2), positions=Rotary(), blocks=repeat(block, depth),
        doors=(Door(name="text", way="tokens",
                    embedder=Prompts(of=TextIds(vocabulary=7, length=scenes * words), count=scenes)),),
    )  # fmt: skip
    return replace(config, **changes)


def built(config):
    model = config.build()
    stir(model, 0.3)
    return model.eval()


def pair(scenes=3, words=2, depth=2, **attention):
    """The masked model and the folded one, with the same weights."""
    masked = built(network(Attention(mask=MASK, **attention), scenes, words, depth))
    folded = built(network(SegmentAttention(attention=Attention(**attention), count=scenes), scenes, words, depth))
    renamed = {k.replace("attn.mixer.", "attn.mixer.attention."): v for k, v in masked.state_dict().items()}
    folded.load_state_dict(renamed)
    return masked, folded


def inputs(scenes=3, words=2, seed=0):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 2, scenes, 4, 2, generator=g)
    return x, torch.rand(2, generator=g), torch.randint(0, 7, (2, scenes * words), generator=g)


@torch.no_grad()
def run(model, x, t, ids):
    return model(x, t, Condition.of(text=ids)).pred


@settings(max_examples=12, deadline=None)
@given(scenes=st.integers(1, 4), words=st.integers(1, 4), seed=st.integers(0, 99), norm=st.booleans())
def test_folded_is_the_masked_softmax(scenes, words, seed, norm):
    masked, folded = pair(scenes, words, qk_norm=LayerNorm(affine="both") if norm else None)
    given_ = inputs(scenes, words, seed)
    torch.testing.assert_close(run(folded, *given_), run(masked, *given_), rtol=1e-5, atol=1e-5)


def test_one_scene_is_the_plain_model():
    plain = built(network(Attention(), 1))
    folded = built(network(SegmentAttention(count=1), 1))
    folded.load_state_dict(
        {k.replace("attn.mixer.", "attn.mixer.attention."): v for k, v in plain.state_dict().items()}
    )
    torch.testing.assert_close(run(folded, *inputs(1)), run(plain, *inputs(1)), rtol=1e-5, atol=1e-5)


def test_in_one_block_a_scene_depends_on_its_own_prompt_and_on_all_scenes():
    _, folded = pair(depth=1)
    x, t, ids = inputs()
    before = run(folded, x, t, ids)
    told = ids.clone()
    told[:, 2:4] = (told[:, 2:4] + 1) % 7  # the prompt of scene 1
    changed = (run(folded, x, t, told) - before).abs().amax((0, 1, 3, 4))
    assert changed[1] > 1e-3
    assert torch.equal(changed[[0, 2]], torch.zeros(2))
    seen = x.clone()
    seen[:, :, 0] += 1
    assert ((run(folded, seen, t, ids) - before).abs().amax((0, 1, 3, 4)) > 1e-4).all()


def test_over_two_blocks_words_reach_other_scenes_through_their_own():
    _, folded = pair(depth=2)
    x, t, ids = inputs()
    told = ids.clone()
    told[:, 2:4] = (told[:, 2:4] + 1) % 7
    assert ((run(folded, x, t, told) - run(folded, x, t, ids)).abs().amax((0, 1, 3, 4)) > 1e-6).all()


def test_it_counts_the_pairs_it_says():
    masked, folded = pair(scenes=3, words=2, depth=1)
    v, p, s, d = 4, 2, 3, 24
    ids = {"text": torch.zeros(1, s * p, dtype=torch.int64)}
    assert count_attention_macs(folded, (2, 3, 4, 2), ids) == s * (p * (p + v) + v * (p + s * v)) * 2 * d
    assert count_attention_macs(masked, (2, 3, 4, 2), ids) == (s * (p + v)) ** 2 * 2 * d


def test_handlers_stand_at_both_sites():
    _, folded = pair()
    inner = [s for s in folded.sites() if s.startswith("block[0].attn")]
    assert inner == ["block[0].attn", "block[0].attn.attend", "block[0].attn.prompts"]


def test_without_prompts_it_is_the_plain_attention():
    model = built(network(SegmentAttention(), doors=()))
    plain = built(network(Attention(), doors=()))
    plain.load_state_dict({k.replace("attn.mixer.attention.", "attn.mixer."): v for k, v in model.state_dict().items()})
    x, t, _ = inputs()
    with torch.no_grad():
        assert torch.equal(model(x, t).pred, plain(x, t).pred)


def test_other_layouts_are_refused():
    x, t, ids = inputs()
    with pytest.raises(FrisketError, match="not 4 equal parts"):
        run(built(network(SegmentAttention(count=4))), x, t, ids)
    untold = network(SegmentAttention(), doors=(Door(name="text", way="tokens", embedder=TextIds(vocabulary=7)),))
    with pytest.raises(FrisketError, match="another order"):
        run(built(untold), x, t, ids)
    with pytest.raises(FrisketError, match="no bias"):
        run(built(network(SegmentAttention(attention=Attention(positions=RelativeBias())))), x, t, ids)
    with pytest.raises(FrisketError, match="mixer.attention.mask"):
        SegmentAttention(attention=Attention(mask=Segments()))
    with pytest.raises(FrisketError, match="mixer.count"):
        SegmentAttention(count=0)
