from dataclasses import replace

import pytest
import torch

from frisket.caching.merging import TokenMerging
from frisket.caching.tile_choices import Growing
from frisket.caching.tile_skips import TileSkips
from frisket.caching.tiles import Tile
from frisket.codecs.pixels import Pixels
from frisket.codecs.readers import Reader
from frisket.codecs.sentences import Sentences
from frisket.core.errors import FrisketError
from frisket.core.step import Step
from frisket.data.base import Info
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import repeat
from frisket.models.doors import Door
from frisket.models.layers.embedders import TextIds
from frisket.processes.gaussian import Gaussian
from frisket.recipes.dit4edit import block
from frisket.sampling.control.cross import CrossControl
from frisket.sampling.control.selves import LayoutControl, SelfControl
from frisket.sampling.guidance import cfg
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.rewording import reword
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.ancestral import Ancestral
from frisket.sampling.solvers.ddim import DDIM
from frisket.sampling.solvers.dpm_solver import DPMSolver2M

BEFORE, AFTER = {"caption": ["one two", "two one"]}, {"caption": ["three two", "two three"]}
STEPS = 5


@pytest.fixture(scope="module")
def pipeline():
    """A small captioned transformer with every weight moved away from its start."""
    info = Info(kind="image", shape=(1, 8, 8))
    reads = {"caption": Reader(codec=Sentences(words=("one", "two", "three"), length=2))}
    config = Transformer(
        width=16, heads=2, blocks=repeat(block(), 2),
        doors=(Door(name="caption", way="context", embedder=TextIds(vocabulary=4, length=2)),),
    )  # fmt: skip
    process = Gaussian()
    config = config.fit(Pixels().build().spec(info), process.outputs(1), {})
    model = config.build()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.15 * torch.randn(value.shape, generator=generator))
    return Pipeline(
        model, process, Pixels(), Sampler(steps=STEPS, update=DPMSolver2M(), guidance=cfg(2.0)), info, reads=reads
    )


def images():
    return torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def made(pipeline, after=AFTER, caches=(), **more):
    sampler = replace(pipeline.sampler, caches=tuple(caches), **more.pop("sampler", {}))
    return reword(pipeline, images(), BEFORE, after, sampler=sampler, **more)


BOTH = (CrossControl(until=1.0), SelfControl(after=0.0, beyond=0.0))


@pytest.mark.parametrize("caches", [BOTH, (LayoutControl(until=1.0), *BOTH)])
def test_the_same_words_under_full_control_give_the_image_back(pipeline, caches):
    """Source attention at every step, no guidance, replay: the target is the source to the solver's error."""
    plain = replace(pipeline.sampler, guidance=cfg(1.0))
    errors = []
    for steps in (10, 40):
        sampler = replace(plain, steps=steps, caches=caches)
        out = reword(pipeline, images(), BEFORE, BEFORE, sampler=sampler)
        assert torch.equal(out.source, images())
        errors.append(float((out.images - images()).abs().max()))
    assert errors[1] < errors[0] / 2
    assert errors[1] < 0.2


def test_controls_that_never_act_are_plain_sampling(pipeline):
    nothing = made(pipeline).images
    never = (CrossControl(until=0.0), SelfControl(after=1.0), LayoutControl(until=0.0), SelfControl(beyond=1.0))
    assert torch.equal(made(pipeline, caches=never).images, nothing)
    sampler = pipeline.sampler
    old, new = (pipeline._conditions(c, 2) for c in (BEFORE, AFTER))
    state, step = pipeline.coder.encode(images()), Step(seed=0, sample=torch.arange(2))
    *_, top = sampler.invert(pipeline.model.eval(), pipeline.process, x=state, step=step, cond=old)
    from frisket.sampling.base import Start

    alone = sampler.sample(
        pipeline.model, pipeline.process, shape=(1, 8, 8), step=step, cond=new, start=Start(x=top.x, t=top.t)
    )
    torch.testing.assert_close(pipeline.decode(alone), nothing, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("control", [
    CrossControl(until=1.0), SelfControl(after=0.0, beyond=0.0), LayoutControl(until=1.0),
])  # fmt: skip
def test_every_control_changes_the_edit_and_not_the_source(pipeline, control):
    plain, controlled = (made(pipeline, caches=c, source="sample") for c in ((), (control,)))
    assert torch.equal(plain.source, controlled.source)
    assert not torch.allclose(plain.images, controlled.images, atol=1e-4)


def test_control_draws_the_edit_towards_the_image(pipeline):
    far, near = (float((made(pipeline, caches=c).images - images()).norm()) for c in ((), BOTH))
    assert near < far


def test_outside_a_mask_the_image_comes_back_bit_for_bit(pipeline):
    mask = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    mask[:, :, :, :4] = True
    out = pipeline.reword(images(), BEFORE, AFTER, mask=mask, caches=())
    assert torch.equal(out[~mask], images()[~mask])
    free = pipeline.reword(images(), BEFORE, AFTER, caches=())
    assert not torch.equal(out[mask], free[mask])
    assert not torch.equal(out[mask], images()[mask])


def test_a_row_does_not_depend_on_its_batch(pipeline):
    together = pipeline.reword(images(), BEFORE, AFTER)
    apart = pipeline.reword(images(), BEFORE, AFTER, batch=1)
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=1e-4)


def test_further_aids_stand_beside_the_controls(pipeline):
    plain = made(pipeline, caches=BOTH).images
    exact = (TokenMerging(share=0.0), TileSkips(choice=Growing(threshold=float("-inf")), tile=Tile(queries=4, keys=4)))
    assert torch.equal(made(pipeline, caches=(*exact, *BOTH)).images, plain)
    merged = made(pipeline, caches=(TokenMerging(share=0.5), *BOTH)).images
    assert torch.isfinite(merged).all()
    assert not torch.allclose(merged, plain, atol=1e-4)
    tiled = TileSkips(choice=Growing(threshold=-0.5), tile=Tile(queries=4, keys=4))
    torch.testing.assert_close(made(pipeline, caches=(tiled,)).images, made(pipeline).images, atol=0.5, rtol=0.5)


def test_emphasis_and_the_other_alignment_matter(pipeline):
    base = made(pipeline, caches=BOTH).images
    louder = made(pipeline, caches=BOTH, emphasis=torch.tensor([[3.0, 1.0]] * 2)).images
    refined = made(pipeline, caches=BOTH, how="refine").images
    assert not torch.allclose(base, louder, atol=1e-4)
    assert not torch.allclose(base, refined, atol=1e-4)


def test_defaults_and_the_solver_are_arguments(pipeline):
    a = pipeline.reword(images(), BEFORE, AFTER, steps=3, update=DDIM())
    b = pipeline.reword(images(), BEFORE, AFTER, steps=3, update=DDIM(), caches=(CrossControl(), SelfControl()))
    assert torch.equal(a, b)
    assert not pipeline.model.training or pipeline.model.train() is pipeline.model


def test_controls_in_the_sampler_leave_ordinary_samples_alone(pipeline):
    own = pipeline.sample(2, caption="one two", seed=3)
    assert torch.equal(pipeline.sample(2, caption="one two", seed=3, caches=BOTH), own)


def test_what_cannot_be_reworded_is_refused(pipeline):
    with pytest.raises(FrisketError, match="after = "):
        pipeline.reword(images(), BEFORE, {})
    with pytest.raises(FrisketError, match="nothing to reword"):
        pipeline.reword(images(), {}, {})
    with pytest.raises(FrisketError, match="fresh noise"):
        pipeline.reword(images(), BEFORE, AFTER, update=Ancestral())
    with pytest.raises(FrisketError, match="reword.source"):
        pipeline.reword(images(), BEFORE, AFTER, source="invent")
