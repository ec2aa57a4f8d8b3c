"""Tiny transformers of diffusers with random weights, and how each is called."""

from __future__ import annotations

import diffusers
import torch


def filled(model, seed: int = 0):
    """Nothing stays at a zero initialisation."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=generator))
    return model.eval()


def noise(*shape: int, seed: int = 0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def dit(size: int = 8, depth: int = 2):
    return filled(
        diffusers.DiTTransformer2DModel(
            num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=8, num_layers=depth,
            sample_size=size, patch_size=2, num_embeds_ada_norm=1000, norm_elementwise_affine=False,
        )
    )  # fmt: skip


def call_dit(model, t, x=None):
    x = noise(2, 4, 8, 8) if x is None else x
    time = torch.full((len(x),), t)
    return model(x, timestep=time, class_labels=torch.arange(len(x)), return_dict=False)[0]


def pixart():
    return filled(
        diffusers.PixArtTransformer2DModel(
            num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=8, num_layers=2, sample_size=8,
            cross_attention_dim=16, caption_channels=12, use_additional_conditions=False,
        )
    )  # fmt: skip


def call_pixart(model, t):
    return model(
        noise(2, 4, 8, 8), encoder_hidden_states=noise(2, 5, 12), timestep=torch.full((2,), t),
        added_cond_kwargs={"resolution": None, "aspect_ratio": None}, return_dict=False,
    )[0]  # fmt: skip


def sd3():
    return filled(
        diffusers.SD3Transformer2DModel(
            sample_size=8, patch_size=2, in_channels=4, num_layers=3, attention_head_dim=8, num_attention_heads=2,
            joint_attention_dim=12, caption_projection_dim=16, pooled_projection_dim=10, out_channels=4,
            pos_embed_max_size=8, dual_attention_layers=(0,), qk_norm="rms_norm",
        )
    )  # fmt: skip


def call_sd3(model, t):
    return model(
        noise(2, 4, 8, 8), encoder_hidden_states=noise(2, 5, 12), pooled_projections=noise(2, 10),
        timestep=torch.full((2,), t), return_dict=False,
    )[0]  # fmt: skip


def flux():
    return filled(
        diffusers.FluxTransformer2DModel(
            patch_size=1, in_channels=4, num_layers=2, num_single_layers=2, attention_head_dim=8,
            num_attention_heads=2, joint_attention_dim=12, pooled_projection_dim=10, axes_dims_rope=(2, 2, 4),
        )
    )  # fmt: skip


def call_flux(model, t):
    return model(
        hidden_states=noise(2, 16, 4), encoder_hidden_states=noise(2, 5, 12), pooled_projections=noise(2, 10),
        timestep=torch.full((2,), t / 1000), img_ids=torch.zeros(16, 3), txt_ids=torch.zeros(5, 3),
        return_dict=False,
    )[0]  # fmt: skip


def wan():
    return filled(
        diffusers.WanTransformer3DModel(
            patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4,
            text_dim=12, freq_dim=16, ffn_dim=32, num_layers=2, rope_max_seq_len=32,
        )
    )  # fmt: skip


def call_wan(model, t):
    return model(
        noise(2, 4, 3, 8, 8), timestep=torch.full((2,), t), encoder_hidden_states=noise(2, 5, 12), return_dict=False
    )[0]


def ltx():
    return filled(
        diffusers.LTXVideoTransformer3DModel(
            in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=8, cross_attention_dim=16,
            num_layers=2, caption_channels=12,
        )
    )  # fmt: skip


def call_ltx(model, t):
    return model(
        noise(2, 12, 4), encoder_hidden_states=noise(2, 5, 12), timestep=torch.full((2,), t),
        encoder_attention_mask=torch.ones(2, 5), num_frames=3, height=2, width=2, return_dict=False,
    )[0]  # fmt: skip


def cogvideox():
    return filled(
        diffusers.CogVideoXTransformer3DModel(
            num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=4, time_embed_dim=8,
            text_embed_dim=12, num_layers=2, sample_width=8, sample_height=8, sample_frames=3, patch_size=2,
            temporal_compression_ratio=1, max_text_seq_length=5,
        )
    )  # fmt: skip


def call_cogvideox(model, t):
    return model(
        noise(2, 3, 4, 8, 8), encoder_hidden_states=noise(2, 5, 12), timestep=torch.full((2,), t), return_dict=False
    )[0]


def latte():
    return filled(
        diffusers.LatteTransformer3DModel(
            num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=8, num_layers=2,
            cross_attention_dim=16, caption_channels=12, sample_size=8, patch_size=2, video_length=3,
            activation_fn="gelu-approximate", norm_type="ada_norm_single", norm_elementwise_affine=False,
        )
    )  # fmt: skip


def call_latte(model, t):
    return model(
        noise(2, 4, 3, 8, 8), timestep=torch.full((2,), t), encoder_hidden_states=noise(2, 5, 12),
        return_dict=False,
    )[0]  # fmt: skip


HOSTS = {
    "dit": (dit, call_dit), "pixart": (pixart, call_pixart), "sd3": (sd3, call_sd3), "flux": (flux, call_flux),
    "wan": (wan, call_wan), "ltx": (ltx, call_ltx), "cogvideox": (cogvideox, call_cogvideox),
    "latte": (latte, call_latte),
}  # fmt: skip
