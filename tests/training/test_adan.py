import torch
from torch import nn

from frisket.training.adan import Adan


def test_steps_follow_the_equations_in_plain_arithmetic():
    """Three steps of one number, written out."""
    gradients, b1, b2, b3, eps, lr, decay = [1.0, -0.5, 2.0], 0.98, 0.92, 0.99, 1e-8, 0.1, 0.02
    p = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    adan = Adan([p], lr=lr, betas=(b1, b2, b3), eps=eps, weight_decay=decay)
    x, m, v, n, last = 2.0, 0.0, 0.0, 0.0, gradients[0]
    for k, g in enumerate(gradients, 1):
        p.grad = torch.tensor([g], dtype=torch.float64)
        adan.step()
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * (g - last)
        n = b3 * n + (1 - b3) * (g + b2 * (g - last)) ** 2
        root = (n / (1 - b3**k)) ** 0.5 + eps
        x = (x - lr * (m / (1 - b1**k) + b2 * v / (1 - b2**k)) / root) / (1 + lr * decay)
        last = g
        torch.testing.assert_close(p.detach(), torch.tensor([x], dtype=torch.float64), rtol=1e-9, atol=0)


def test_a_parameter_without_gradient_stays():
    p = nn.Parameter(torch.ones(2))
    adan = Adan([p], weight_decay=1.0)
    adan.step()
    assert torch.equal(p.detach(), torch.ones(2))
    assert not adan.state[p]
