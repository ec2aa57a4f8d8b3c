import pytest
import torch

from frisket.codecs.vq import VQ
from frisket.core import FrisketError
from frisket.data.base import Info
from frisket.testing import check_codec

CONFIG = VQ(channels=1, width=8, codes=6, dim=4, groups=4)
INFO = Info(kind="image", shape=(1, 8, 8))


def images(n=3, seed=0):
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def test_it_keeps_the_promises_of_codecs():
    check_codec(CONFIG, images(), INFO)
    assert CONFIG.build().spec(INFO).shape == (4, 4)
    assert VQ(multipliers=(1, 2, 2)).factor == 4
    assert CONFIG.fit(type("Source", (), {"info": Info(kind="image", shape=(3, 8, 8))})()).channels == 3


def test_a_code_is_the_nearest_one():
    codec = CONFIG.build()
    z = codec.features(images())
    by_hand = torch.cdist(z.movedim(1, -1).flatten(0, 2), codec.codebook).argmin(1).view(3, 4, 4)
    assert torch.equal(codec.encode(images()), by_hand)
    codes = codec.codebook[torch.arange(6)].view(1, 6, 1, 4).movedim(-1, 1)
    found = codec.quantise(codes)
    assert found.ids.flatten().tolist() == list(range(6))
    assert found.commitment.abs().max() < 1e-12


def test_the_gradient_passes_the_quantiser_unchanged():
    codec = CONFIG.build()
    z = codec.features(images()).detach().requires_grad_()
    found = codec.quantise(z)
    assert torch.allclose(found.z, codec.codebook[found.ids].movedim(-1, 1), atol=1e-6)
    weight = torch.randn(found.z.shape, generator=torch.Generator().manual_seed(1))
    (grad,) = torch.autograd.grad((found.z * weight).sum(), z, retain_graph=True)
    assert torch.equal(grad, weight)
    (grad,) = torch.autograd.grad(found.commitment.sum(), z)
    torch.testing.assert_close(grad, 2 * (z - found.z).detach() / z[0].numel())
    assert not codec.codebook.requires_grad
    codes = found.z.detach().requires_grad_()
    (grad,) = torch.autograd.grad(codec.decode_codes(codes).sum(), codes)
    assert grad.abs().sum() > 0


def test_codes_follow_the_mean_of_what_chose_them():
    codec = CONFIG.build()
    before, target = codec.codebook.clone(), torch.tensor([1.0, 2.0, 3.0, 4.0])
    chosen = torch.tensor([5.0, 0, 0, 0, 0, 0])
    sums = torch.zeros(6, 4)
    sums[0] = 5 * target
    for _ in range(200):
        codec.follow(chosen, sums, 0.9)
    torch.testing.assert_close(codec.codebook[0], target, atol=1e-4, rtol=0)
    torch.testing.assert_close(codec.codebook[1:], before[1:])
    torch.testing.assert_close(codec.counts[0], torch.tensor(5.0), atol=1e-3, rtol=0)
    assert codec.counts[1:].max() < 1e-6


def test_codes_that_nothing_chooses_restart():
    codec = CONFIG.build()
    codec.counts.copy_(torch.tensor([1.0, 0.01, 1.0, 1.0, 0.0, 1.0]))
    before, pool = codec.codebook.clone(), torch.arange(8.0).view(2, 4)
    codec.restart(0.1, pool, torch.tensor([0.0, 0.9, 0.0, 0.0, 0.0, 0.0]))
    assert codec.codebook[1].tolist() == [4.0, 5.0, 6.0, 7.0]
    assert codec.codebook[4].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert torch.equal(codec.codebook[[0, 2, 3, 5]], before[[0, 2, 3, 5]])
    assert codec.counts.tolist() == [1.0] * 6


def test_a_seed_is_a_set_of_weights():
    one, same, other = CONFIG.build(), CONFIG.build().fresh(0), CONFIG.build().fresh(1)
    state = torch.random.get_rng_state()
    CONFIG.build()
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(v, same.state_dict()[k]) for k, v in one.state_dict().items())
    assert not torch.equal(one.codebook, other.codebook)
    torch.testing.assert_close(one.codebook.norm(dim=1), torch.ones(6))


def test_what_does_not_fit():
    codec = CONFIG.build()
    with pytest.raises(FrisketError, match="sides divisible by 2"):
        codec.encode(torch.zeros(1, 1, 7, 8))
    with pytest.raises(FrisketError, match="ids 0..6"):
        codec.decode(torch.full((1, 2, 2), 6).index_fill(1, torch.tensor([0]), 0))
    for fields, match in (({"codes": 1}, "codes"), ({"width": 10}, "groups"), ({"multipliers": ()}, "multipliers")):
        with pytest.raises(FrisketError, match=match):
            VQ(**fields)
