import torch

from frisket.training.layout import cut, full, is_sharded, local, put


def test_plain_tensors_are_their_own_piece():
    x = torch.arange(6.0).reshape(2, 3).requires_grad_()
    assert not is_sharded(x)
    assert local(x).data_ptr() == x.data_ptr()
    assert not local(x).requires_grad
    assert torch.equal(full(x), x.detach())
    assert torch.equal(cut(torch.ones(2, 3), x), torch.ones(2, 3))


def test_put_copies_in_place():
    x = torch.zeros(3, requires_grad=True)
    put(x, torch.tensor([1.0, 2.0, 3.0]))
    assert x.tolist() == [1.0, 2.0, 3.0]
    assert x.requires_grad
