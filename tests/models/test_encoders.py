"""A condition encoder: one vector a token, kept and given back, and the plain backbone where it says nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from frisket.codecs.base import Spec
from frisket.core import FrisketError, Step, install, use_step
from frisket.core.condition import Condition
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.count import count_parameters
from frisket.models.doors import Door
from frisket.models.encoders import TokenEncoder, given
from frisket.models.layers.embedders import ClassIds, TextIds
from frisket.models.layers.ends import Patches, PatchesOut
from frisket.models.layers.modulation import AdaLN, Shared
from frisket.models.layers.positions import Rotary
from frisket.models.plans.routing import Routing
from frisket.testing import check_backbone, check_config
from frisket.testing.backbones import stir

BLOCK = Block(modulation=AdaLN())
PLAIN = Transformer(
    width=16, heads=2, input=Patches(channels=2, size=(4, 6), patch=2), output=PatchesOut(channels=2),
    positions=Rotary(span=8.0), doors=(Door(name="label", embedder=ClassIds(classes=5)),), blocks=repeat(BLOCK, 2),
)  # fmt: skip
CONFIG = replace(PLAIN, encoder=TokenEncoder(blocks=repeat(BLOCK, 3)))
G = torch.Generator().manual_seed(0)
X, T = torch.randn(3, 2, 4, 6, generator=G), torch.tensor([0.1, 0.5, 0.9])
COND = Condition.of(label=torch.tensor([0, 4, 2]))
STEP = Step(seed=0, sample=torch.arange(3))


def stirred(config):
    model = config.build().eval()
    stir(model, 0.3)
    return model


def call(model, x=X, t=T, cond=COND, keep=None, handlers=None):
    with use_step(STEP), install(model, handlers or {}), torch.no_grad():
        return model(x, t, cond, keep).pred


def watched(model, **inputs):
    """The prediction and what the site gave."""
    seen = []

    def keep(make, args, step):
        seen.append(make(*args))
        return seen[0]

    return call(model, handlers={"encoder": keep}, **inputs), seen[0]


def test_it_is_a_backbone():
    check_config(CONFIG)
    check_backbone(CONFIG, spec=Spec(kind="continuous", shape=(2, 4, 6)), classes={"label": 5})
    assert count_parameters(CONFIG.build()) == count_parameters(PLAIN.build()) + sum(
        count_parameters(part) for part in (CONFIG.build().encoder.blocks, CONFIG.build().encoder.input)
    )


def test_what_it_gave_gives_the_same_prediction_bit_for_bit():
    model = stirred(CONFIG)
    pred, vectors = watched(model)
    assert vectors.shape == (3, 6, 16)
    ran = []
    assert torch.equal(call(model, handlers={"encoder": given(vectors)}), pred)
    call(model, handlers={"encoder": given(vectors), "encoder.block[0]": lambda make, args, step: ran.append(1)})
    assert not ran, "a kept encoding costs no encoder block"


def test_time_and_class_reach_the_decoder_by_the_encoding_alone():
    model = stirred(CONFIG)
    pred, vectors = watched(model)
    other = Condition.of(label=torch.tensor([3, 1, 1]))
    assert torch.equal(call(model, t=1 - T, cond=other, handlers={"encoder": given(vectors)}), pred)
    assert not torch.allclose(call(model, t=T, cond=other), pred)
    assert not torch.allclose(call(model, x=X + 1, handlers={"encoder": given(vectors)}), pred)


def test_one_vector_for_all_tokens_is_plain_modulation():
    model, plain = stirred(CONFIG), PLAIN.build().eval()
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("encoder.")})
    with torch.no_grad():
        vector = torch.nn.functional.silu(plain.time(T, 3, T.device) + plain.doors.vector(COND))
    same = call(model, handlers={"encoder": given(vector.unsqueeze(1).expand(-1, 6, -1))})
    torch.testing.assert_close(same, call(plain), rtol=1e-4, atol=2e-5)


def test_each_token_is_modulated_by_its_own_vector():
    model = stirred(replace(CONFIG, blocks=repeat(BLOCK, 1)))
    for block in model.blocks:
        torch.nn.init.zeros_(block.branches["attn"].mixer.inner.out.weight)  # nothing passes between tokens
        torch.nn.init.zeros_(block.branches["attn"].mixer.inner.out.bias)
    _, vectors = watched(model)
    changed = vectors.clone()
    changed[:, 2] += 1
    before, after = (call(model, handlers={"encoder": given(v)}) for v in (vectors, changed))
    differs = (before - after).abs().amax(1).reshape(3, 2, 2, 3, 2).amax((0, 2, 4)).flatten()
    assert differs.nonzero().flatten().tolist() == [2]


def test_the_prediction_is_zero_at_first_although_blocks_are_not_identities():
    model, moved = CONFIG.build(), []

    def watch(make, args, step):
        out = make(*args)
        moved.append(not torch.equal(out.h, args[0].h))
        return out

    assert call(model, handlers={"block[:]": watch, "encoder.block[:]": watch}).abs().max() == 0
    assert moved == [True] * 5


def test_plans_shared_modulation_and_local_times_go_with_it():
    routed = stirred(replace(CONFIG, blocks=repeat(BLOCK, 3), plan=Routing(low=1, high=-1)))
    all_of_them = {"route": torch.arange(6).expand(3, -1)}
    torch.testing.assert_close(call(routed, keep=all_of_them), call(routed))
    some = call(routed, keep={"route": torch.tensor([[4, 0], [1, 2], [5, 3]])})
    assert some.isfinite().all()
    assert not torch.allclose(some, call(routed))
    shared = Block(modulation=Shared())
    config = replace(CONFIG, encoder=TokenEncoder(blocks=repeat(shared, 1)), blocks=repeat(shared, 1))
    assert len(stirred(config).shared) == 1
    everywhere = T.view(3, 1, 1, 1).expand(3, 1, 4, 6)
    for model in (stirred(config).double(), stirred(CONFIG).double()):
        local, plain = call(model, x=X.double(), t=everywhere), call(model, x=X.double())
        torch.testing.assert_close(local, plain, rtol=1e-5, atol=1e-5)
        halves = torch.cat([everywhere[..., :4], 1 - everywhere[..., 4:]], -1)
        assert not torch.allclose(call(model, x=X.double(), t=halves), plain, atol=1e-2)


def test_what_cannot_be_is_refused():
    with pytest.raises(FrisketError, match="condition"):
        replace(CONFIG, condition=8).build()
    with pytest.raises(FrisketError, match="doors by tokens"):
        replace(CONFIG, doors=(Door(name="text", way="tokens", embedder=TextIds()),)).build()
    with pytest.raises(FrisketError, match=r"encoder\.blocks"):
        TokenEncoder(blocks=())
