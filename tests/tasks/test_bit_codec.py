"""The bit codec's task: its terms by hand, gradients kept apart, and what starts when."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from frisket.codecs.lfq import LFQ, entropies, quantise
from frisket.codecs.vq import VQ
from frisket.core import FrisketError
from frisket.core.step import Step
from frisket.data.base import Info
from frisket.data.digits import Digits
from frisket.evaluation.features.classifier import Classifier
from frisket.experiments.experiment import Experiment
from frisket.sampling.pipeline import Pipeline
from frisket.tasks.bit_codec import BitCodec, ByClassifier
from frisket.tasks.codec import Codec
from frisket.training.trainer import Trainer

INFO = Info(kind="image", shape=(1, 8, 8))
SMALL = LFQ(channels=1, bits=4, splits=2, width=8, groups=4)
CODEC, OTHER = ("reconstruct", "commit", "entropy", "deceive"), ("tell", "lecam")


def task(codec=SMALL, **fields):
    return BitCodec(**fields).build(Pipeline(torch.nn.Identity(), None, codec, None, INFO))


def at(index=50):
    return Step(seed=0, sample=torch.arange(4), index=index, total=100)


def batch():
    return {"x": torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))}


def moved(module):
    return any(p.grad is not None and bool(p.grad.any()) for p in module.parameters())


@pytest.mark.parametrize(("names", "learns"), [(CODEC, "codec"), (OTHER, "discriminator")])
def test_gradients_are_kept_apart(names, learns):
    made = task()
    made.means.copy_(torch.tensor([0.5, -0.5]))
    terms = made(batch(), at())
    assert set(terms) == {*CODEC, *OTHER}
    sum(terms[name] for name in names).backward()
    for side in ("codec", "discriminator"):
        assert moved(getattr(made, side)) == (side == learns)


def test_the_terms_by_hand():
    made, x = task(reconstruction=3.0, commitment=0.5, adversarial=0.1), batch()["x"]
    terms = made(batch(), at())
    z = made.codec.features(x)
    image = made.codec.decode_bits(quantise(z))
    each, mean = entropies(z, 0.01)
    torch.testing.assert_close(terms["reconstruct"], 3 * (image - x).square().mean())
    torch.testing.assert_close(terms["commit"], 0.5 * (z - torch.where(z > 0, 1.0, -1.0)).square().mean())
    torch.testing.assert_close(terms["entropy"], 0.02 * (each - mean))
    real, false = made.discriminator(x), made.discriminator(image)
    torch.testing.assert_close(terms["deceive"], -0.1 * false.mean())
    hinge = (functional.relu(1 - real).mean() + functional.relu(1 + false).mean()) / 2
    torch.testing.assert_close(terms["tell"], hinge)
    lecam = functional.relu(real).square().mean() + functional.relu(-false).square().mean()
    torch.testing.assert_close(terms["lecam"], 0.001 * lecam)


def test_the_discriminator_starts_late_and_the_entropy_weighs_more_at_first():
    made = task(start=0.2, settled=0.1)
    first, later, last = (made(batch(), at(i)) for i in (0, 5, 20))
    assert "tell" not in first
    assert "tell" in last
    torch.testing.assert_close(first["entropy"], 2 * last["entropy"])
    torch.testing.assert_close(later["entropy"], 1.5 * last["entropy"])


def test_the_running_means_follow_after_the_step():
    made = task(decay=0.5)
    made(batch(), at())
    assert not bool(made.means.any())
    real = made.discriminator(batch()["x"]).mean()
    made.after_step(at())
    torch.testing.assert_close(made.means[0], 0.5 * real.detach())
    made.after_step(at())
    torch.testing.assert_close(made.means[0], 0.5 * real.detach())


def test_the_perceptual_term_moves_the_codec_and_not_the_classifier(tmp_path, monkeypatch):
    monkeypatch.setenv("FRISKET_CACHE", str(tmp_path))
    made = task(perceptual=ByClassifier(data=Digits(), features=Classifier(steps=1, width=2)), adversarial=0.0)
    before = {n: p.clone() for n, p in made.judge.named_parameters()}
    made(batch(), at())["perceive"].backward()
    assert moved(made.codec)
    assert not any(p.requires_grad for p in made.judge.parameters())
    assert all(torch.equal(p, before[n]) for n, p in made.judge.named_parameters())
    assert set(made.trains()) == {"codec", "discriminator"}


def test_the_saved_model_is_the_codec_alone(tmp_path):
    made = task()
    weights = {n: torch.zeros_like(v) for n, v in made.state_dict().items()}
    made.save_model(tmp_path / "model", weights)
    back = Pipeline.from_pretrained(tmp_path / "model")
    assert not any(bool(p.any()) for p in back.coder.parameters())
    assert any(bool(p.any()) for p in made.codec.parameters())


def test_what_does_not_fit_is_refused():
    with pytest.raises(FrisketError, match="trains codec/lfq"):
        task(VQ(channels=1, width=8, groups=4))
    for bad in ({"start": 2.0}, {"temperature": 0.0}, {"decay": 1.0}, {"lecam": -1.0}, {"width": 0}):
        with pytest.raises(FrisketError, match="task"):
            BitCodec(**bad)


def test_the_discriminator_and_the_classifier_have_their_price():
    seen = ByClassifier(data=Digits(), features=Classifier(seed=7, steps=10, width=4))
    own = Experiment(name="c", data=Digits(), codec=SMALL, task=BitCodec(adversarial=0.0), training=Trainer())
    alone, judged, told = (
        task.step_macs(own, 0) for task in (own.task, replace(own.task, perceptual=seen), BitCodec(start=0.25, width=2))
    )
    assert alone == Codec().step_macs(own, 0)
    assert judged - alone == 3 * seen.macs()
    scored = 9 * 2 * 64 + 16 * 2 * 4 * 16 + 9 * 4 * 16  # 3 x 3 on 64 pixels, 4 x 4 to 16, 3 x 3 on those
    assert told - alone == pytest.approx(0.75 * 8 * scored)
