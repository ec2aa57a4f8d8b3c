"""Run as a script: a model whose blocks are compiled one by one; prints how many programs that made for three blocks,
and whether output and gradients equal the plain ones."""

from __future__ import annotations

import torch
from torch._dynamo.testing import CompileCounter

from frisket.core.condition import Condition
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.doors import Door
from frisket.models.layers.embedders import ClassIds

if __name__ == "__main__":
    config = Transformer(
        width=16, heads=2, doors=(Door(embedder=ClassIds(classes=10)),), blocks=repeat(Block(), 3)
    )  # fmt: skip
    model, g = config.build(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=g) * 0.3)
    call = torch.randn(2, 1, 8, 8, generator=g), torch.rand(2, generator=g), Condition.of(label=torch.tensor([1, 7]))
    learn = [p for p in model.parameters() if p.requires_grad]
    plain = model(*call).pred
    wanted = torch.autograd.grad(plain.square().sum(), learn)
    programs = CompileCounter()
    for block in model.blocks:
        block.compile(backend=programs)
    out = model(*call).pred
    torch.testing.assert_close(out, plain, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(torch.autograd.grad(out.square().sum(), learn), wanted, rtol=1e-4, atol=1e-4)
    print(programs.frame_count, "equal")
