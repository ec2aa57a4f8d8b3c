"""DiT: class-conditional diffusion with a plain transformer; timestep and class enter through adaLN-zero only.

The reference that other recipes are measured against. `small` learns scikit-learn's digits in pixels with rectified flow
(SiT's path); `paper` is DiT-XL/2 on the latents of a 256-pixel autoencoder with its discrete process and learned variance.
"""

from frisket.data.digits import Digits
from frisket.experiments.experiment import Experiment
from frisket.experiments.paper import Paper
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.doors import Door
from frisket.processes.gaussian import Gaussian
from frisket.sampling.guidance import cfg
from frisket.sampling.sampler import Sampler
from frisket.training.optimisers import AdamW
from frisket.training.trainer import Trainer

PAPER = Paper(
    card=47, arxiv="2212.09748", year=2023,
    title="Scalable Diffusion Models with Transformers",
    authors="William Peebles and Saining Xie",
    does="a transformer as denoiser, conditioned by adaLN-zero: the baseline of all others",
    claim="quality rises with the network's forward FLOPs, whether they come from width, depth or smaller patches",
)  # fmt: skip


def experiment(size: str) -> Experiment:
    width, depth, batch, steps = {"tiny": (32, 2, 16, 20), "small": (128, 6, 128, 1500)}[size]
    return Experiment(
        name="dit",
        data=Digits(),
        process=Gaussian(),
        model=Transformer(width=width, heads=4, doors=(Door(),), blocks=repeat(Block(), depth)),
        training=Trainer(batch=batch, steps=steps, optimiser=AdamW(lr=1e-3)),
        sampler=Sampler(steps=25, guidance=cfg(1.5)),
    )
