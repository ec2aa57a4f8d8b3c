"""An adapter's own file: it comes back, peft reads it, diffusers reads it."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from frisket.adapters.lora import Lora, adapted
from frisket.adapters.lora_files import load_lora, save_lora
from frisket.core import FrisketError, apply_edits
from frisket.core.files import load_tensors
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat

CONFIG = Transformer(width=8, heads=2, blocks=repeat(Block(), 2))
X, T = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([0.2, 0.6])


def randomised(model, seed=1):
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(0.0, 0.3, generator=g)
    return model


def base():
    return randomised(CONFIG.build())


def learnt(edit=None):
    model = apply_edits(base(), [edit or Lora(rank=3, alpha=5.0)])
    g = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for layer in adapted(model).values():
            for p in layer.lora.parameters():
                p.normal_(0.0, 0.3, generator=g)
    return model


@pytest.mark.parametrize("form", ["peft", "diffusers"])
def test_saved_and_loaded_it_is_the_same_adapter(tmp_path, form):
    model = learnt()
    again = load_lora(base(), save_lora(model, tmp_path / "adapter", form=form))
    assert torch.equal(model(X, T).pred, again(X, T).pred)
    assert again.edits == model.edits


def test_the_file_holds_nothing_but_the_adapter(tmp_path):
    model = learnt(Lora(rank=2, targets=("*.ffn.*",)))
    tensors = load_tensors(save_lora(model, tmp_path / "a") / "adapter_model.safetensors")
    assert len(tensors) == 2 * 2 * 2
    assert all(name.startswith("base_model.model.blocks.") for name in tensors)
    assert sum(v.numel() for v in tensors.values()) == 2 * 2 * 2 * (8 + 32)


def test_it_loads_under_another_name_beside_a_first(tmp_path):
    folder = save_lora(learnt(), tmp_path / "a")
    model = load_lora(load_lora(base(), folder), folder, name="more")
    assert set(adapted(model, "more")) == set(adapted(model, "default"))


def test_peft_reads_the_file_and_gives_the_same_output(tmp_path):
    peft = pytest.importorskip("peft")
    model = learnt()
    folder = save_lora(model, tmp_path / "a")
    theirs = base()
    settings = json.loads((folder / "adapter_config.json").read_text())
    config = peft.LoraConfig(**{k: v for k, v in settings.items() if k not in ("peft_type", "base_model_name_or_path")})
    peft.inject_adapter_in_model(config, theirs)
    tensors = {
        k.removeprefix("base_model.model."): v for k, v in load_tensors(folder / "adapter_model.safetensors").items()
    }
    result = peft.set_peft_model_state_dict(theirs, tensors)
    assert not result.unexpected_keys
    assert torch.allclose(theirs(X, T).pred, model(X, T).pred, atol=1e-5)


def tiny_sd3():
    diffusers = pytest.importorskip("diffusers")
    torch.manual_seed(0)
    return diffusers.SD3Transformer2DModel(
        sample_size=8, patch_size=2, in_channels=4, num_layers=2, attention_head_dim=4, num_attention_heads=2,
        joint_attention_dim=8, caption_projection_dim=8, pooled_projection_dim=8, out_channels=4, pos_embed_max_size=8,
    ).eval()  # fmt: skip


def call_sd3(model):
    g = torch.Generator().manual_seed(5)
    shapes = {"hidden_states": (1, 4, 8, 8), "encoder_hidden_states": (1, 3, 8), "pooled_projections": (1, 8)}
    inputs = {name: torch.randn(shape, generator=g) for name, shape in shapes.items()}
    with torch.no_grad():
        return model(**inputs, timestep=torch.tensor([300.0])).sample


def test_an_adapter_of_a_diffusers_model_is_loaded_by_diffusers(tmp_path):
    pytest.importorskip("peft")
    edit = Lora(rank=2, alpha=3.0, targets=("transformer_blocks.*.attn.to_*", "transformer_blocks.*.ff.*"))
    ours, theirs = tiny_sd3(), tiny_sd3()
    apply_edits(ours, [edit])
    g = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for layer in adapted(ours).values():
            layer.lora["default"].up[0].weight.normal_(0.0, 0.5, generator=g)
    folder = save_lora(ours, tmp_path / "a", form="diffusers")
    before = call_sd3(theirs)
    tensors = load_tensors(folder / "pytorch_lora_weights.safetensors")
    alphas = {k: float(v) for k, v in tensors.items() if k.endswith(".alpha")}
    weights = {k: v for k, v in tensors.items() if not k.endswith(".alpha")}
    theirs.load_lora_adapter(weights, prefix="transformer", network_alphas=alphas)
    assert not torch.allclose(call_sd3(theirs), before, atol=1e-3)
    assert torch.allclose(call_sd3(theirs), call_sd3(ours), atol=1e-5)


def test_refusals(tmp_path):
    model = learnt()
    with pytest.raises(FrisketError, match="form = 'kohya'"):
        save_lora(model, tmp_path / "a", form="kohya")
    with pytest.raises(FrisketError, match="no adapter 'default'"):
        save_lora(base(), tmp_path / "a")
    folder = save_lora(model, tmp_path / "a")
    with pytest.raises(FrisketError, match="does not fit the model"):
        load_lora(Transformer(width=8, heads=2, blocks=repeat(Block(), 3)).build(), folder)
    with pytest.raises(FrisketError, match="lora of blocks"):
        load_lora(Transformer(width=16, heads=2, blocks=repeat(Block(), 2)).build(), folder)
    with pytest.raises(FrisketError, match="no linear layer"):
        load_lora(nn.Sequential(nn.ReLU()), folder)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine.txt").write_text("keep me")
    with pytest.raises(FrisketError, match="other files"):
        save_lora(model, tmp_path / "b")
