"""Alignment with an encoder: the term, where its gradient goes, and what it leaves alone."""

from __future__ import annotations

import pytest
import torch
from aligning import BATCH, ToldTarget, aligned, at, seen_by

from frisket.core.errors import FrisketError
from frisket.tasks.diffusion import Diffusion
from frisket.tasks.objectives.alignment import Alignment
from frisket.tasks.objectives.projector import Projector
from frisket.testing import check_config

N = 16
FEATURES = torch.randn(4, N, 5, generator=torch.Generator().manual_seed(1))


def task_of(features=FEATURES, **changes):
    return aligned(Alignment(**{"block": 2, "target": ToldTarget(features), **changes}), drop=0.3)


def gradients(task, *names):
    task.zero_grad()
    terms = task(BATCH, at())
    sum(terms[name] for name in names).backward()
    return {n: None if p.grad is None else p.grad.clone() for n, p in task.named_parameters()}


def test_the_term_is_minus_the_mean_cosine_and_lies_within_its_weight():
    check_config(Alignment())
    task = task_of()
    seen = seen_by(task)
    found = task.objectives[0].loss(seen)["alignment"]
    projected = task.objectives[0].projector(seen.taps["block[2]"].h)
    cosine = torch.nn.functional.cosine_similarity(projected, FEATURES, dim=-1).mean(1)
    torch.testing.assert_close(found, -0.5 * cosine)
    assert found.shape == (4,)
    assert (found.abs() <= 0.5).all()


def test_any_positive_multiple_of_the_target_is_a_perfect_match():
    task = task_of()
    seen = seen_by(task)
    with torch.no_grad():
        projected = task.objectives[0].projector(seen.taps["block[2]"].h)
    scales = torch.rand(4, N, 1, generator=torch.Generator().manual_seed(2)) * 9 + 0.1
    for sign in (1, -1):
        task.objectives[0].target.told = sign * projected * scales
        torch.testing.assert_close(task.objectives[0].loss(seen)["alignment"], torch.full((4,), -0.5 * sign))


def test_the_gradient_reaches_the_projector_and_all_in_front_of_the_tap_and_nothing_behind():
    found = gradients(task_of(), "alignment")
    reached = {n for n, g in found.items() if g is not None and g.abs().max() > 0}
    blocks = {int(n.split(".")[2]) for n in reached if n.startswith("model.blocks.")}
    assert blocks == {0, 1, 2}
    assert {n for n in found if n.startswith("projectors.")} <= reached
    assert any(n.startswith("model.input.") for n in reached)
    assert not any(n.startswith(("model.output.", "model.final_modulation.")) for n in reached)


def test_weight_0_leaves_the_models_gradients_bit_for_bit():
    none = Diffusion(drop=0.3).build(task_of().pipeline, {})
    plain = gradients(none, "denoise")
    silent = gradients(task_of(weight=0.0), "denoise", "alignment")
    assert len(plain) > 20
    assert all(
        (g is None) == (silent[n] is None) and (g is None or torch.equal(g, silent[n])) for n, g in plain.items()
    )
    louder = gradients(task_of(weight=0.5), "denoise", "alignment")
    assert any(g is not None and not torch.equal(g, louder[n]) for n, g in plain.items())


def test_a_batch_in_pieces_gives_the_mean_of_the_whole():
    task = task_of(FEATURES[:1])
    whole = task(BATCH, at())["alignment"]
    parts = []
    for i in (0, 2):
        rows = {k: v[i : i + 2] for k, v in BATCH.items()}
        parts.append(task(rows, at().rows(torch.arange(i, i + 2)))["alignment"])
    torch.testing.assert_close(torch.stack(parts).mean(), whole)


def test_only_the_projector_learns_and_the_target_is_neither_trained_nor_saved():
    task = task_of(projector=Projector(hidden=8))
    assert {n for n, p in task.projectors.named_parameters() if p.requires_grad} == {
        f"0.projector.layers.{i}.{kind}" for i in range(3) for kind in ("weight", "bias")
    }
    assert task.fixed[-1] == "projectors.0.target"


def test_another_grid_a_missing_block_and_a_negative_weight_are_refused():
    with pytest.raises(FrisketError, match="tokens of the target = 9"):
        task_of(torch.zeros(1, 9, 5))
    with pytest.raises(FrisketError, match=r"objective\.block = 6"):
        task_of(block=6)
    with pytest.raises(FrisketError, match=r"objective\.weight"):
        Alignment(weight=-1)
    with pytest.raises(FrisketError, match="unknown needed pipeline 'encoder'"):
        aligned(Alignment())


def test_a_vector_beside_the_grid_is_aligned_with_the_token_of_the_whole():
    from dataclasses import replace

    from aligning import SIX, ToldWhole, seen_by
    from small_models import pipeline

    from frisket.codecs.beside import Beside
    from frisket.codecs.summary import Summary
    from frisket.data.digits import Digits
    from frisket.models.backbones.patch_encoder import PatchEncoder
    from frisket.processes.gaussian import Gaussian
    from frisket.processes.joint import Joint
    from frisket.sampling.pipeline import Pipeline
    from frisket.testing.backbones import stir

    source = Digits().open("train")
    codec = Beside(entries={"cls": Summary(network=PatchEncoder(width=8, depth=1))}).fit(source)
    model = replace(SIX).fit(codec.build().spec(source.info), 1, {"label": 10}).build()
    stir(model, 0.1)
    process = Joint(entries={"x": Gaussian(), "cls": Gaussian()})
    own = Pipeline(model, process, codec, pipeline().sampler, source.info)
    features = torch.randn(4, N + 1, 5, generator=torch.Generator().manual_seed(1))
    task = Diffusion(objectives=(Alignment(block=2, target=ToldWhole(features)),)).build(own, {})
    seen = seen_by(task)
    projected = task.objectives[0].projector(seen.taps["block[2]"].h)
    cosine = torch.nn.functional.cosine_similarity(projected, features, dim=-1).mean(1)
    assert projected.shape[1] == N + 1
    torch.testing.assert_close(task.objectives[0].loss(seen)["alignment"], -0.5 * cosine)
    terms = task.loss(BATCH, at())
    assert set(terms) == {"denoise", "cls denoise", "alignment"}
    with pytest.raises(FrisketError, match="tokens of the target"):
        Diffusion(objectives=(Alignment(block=2, target=ToldTarget(features[:, :N])),)).build(own, {})
