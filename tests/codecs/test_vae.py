import pytest
import torch

from frisket.codecs.vae import VAE
from frisket.core import FrisketError, from_config, to_config
from frisket.data.base import Info

diffusers = pytest.importorskip("diffusers")


@pytest.fixture
def model(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return diffusers.AutoencoderKL(
            block_out_channels=(8, 8), down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=4, norm_num_groups=4, layers_per_block=1,
            scaling_factor=0.3, shift_factor=0.2, sample_size=16,
        ).eval()  # fmt: skip


@pytest.fixture
def codec(model, tmp_path):
    model.save_pretrained(tmp_path / "pipe" / "vae", safe_serialization=True)
    config = VAE(target=str(tmp_path / "pipe"), subfolder="vae")
    return from_config(to_config(config)).build()


X = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def test_the_state_is_the_scaled_posterior(model, codec):
    posterior = model.encode(X * 2 - 1).latent_dist
    assert torch.allclose(codec.encode(X), (posterior.mean - 0.2) * 0.3, atol=1e-6)
    draw = torch.randn(2, 4, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    want = (posterior.mean + posterior.std * draw.float() - 0.2) * 0.3
    assert torch.allclose(codec.encode(X, draw), want, atol=1e-6)
    assert not torch.allclose(codec.encode(X, draw), codec.encode(X))
    assert torch.equal(codec.encode(X, draw * 0), codec.encode(X))


def test_decoding_undoes_the_scaling_and_ends_in_the_unit_range(model, codec):
    state = codec.encode(X)
    want = (model.decode(model.encode(X * 2 - 1).latent_dist.mode()).sample + 1) / 2
    assert torch.allclose(codec.decode(state), want.clamp(0, 1), atol=1e-5)
    far = codec.decode(state + 100)
    assert far.min() >= 0
    assert far.max() <= 1


def test_weights_are_frozen_and_gradients_pass(codec):
    assert not any(p.requires_grad for p in codec.parameters())
    state = codec.encode(X).requires_grad_()
    codec.decode(state).sum().backward()
    assert state.grad is not None
    assert state.grad.abs().sum() > 0


def test_the_stated_shape_is_the_real_one(codec):
    spec = codec.spec(Info(kind="image", shape=(3, 16, 16)))
    assert (spec.kind, spec.shape, spec.vocabulary) == ("continuous", tuple(codec.encode(X).shape[1:]), None)
    for shape in ((1, 16, 16), (3, 15, 16)):
        with pytest.raises(FrisketError, match=r"\(3, h, w\) with sides divisible by 2"):
            codec.spec(Info(kind="image", shape=shape))
    with pytest.raises(FrisketError, match="image shape"):
        codec.encode(X[:, :1])


def test_pickled_weights_and_missing_folders_are_refused(model, tmp_path):
    model.save_pretrained(tmp_path / "old", safe_serialization=False)
    for name in ("old", "gone"):
        with pytest.raises(FrisketError, match="no autoencoder can be loaded") as caught:
            VAE(target=str(tmp_path / name)).build()
        assert "\n" not in str(caught.value)
