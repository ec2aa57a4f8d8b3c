"""What a person looks at: a trained pipeline's samples, the way to them, and an edit, as sections of a report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from frisket.core.files import save_tensors
from frisket.data.base import Data
from frisket.data.ngrams import bigram_bits, unigram_bits
from frisket.evaluation.report import Section, Table
from frisket.evaluation.sections import film_of, inpainting_section, metrics_section, samples_section
from frisket.experiments.measures import LEAST, bound, first_items, indexed, score_samples
from frisket.processes.known import Known
from frisket.sampling.decoding.decoder import Ancestral, Ordered
from frisket.sampling.decoding.orders import Confidence
from frisket.sampling.decoding.proposals import Categorical
from frisket.sampling.pipeline import Pipeline

Show = Callable[[Pipeline, Data, int, Path], tuple[list[Section], dict[str, Any]]]


def show(pipeline: Pipeline, data: Data, n: int, folder: Path) -> tuple[list[Section], dict[str, Any]]:
    """Sections and results for whatever the pipeline makes. n: how many samples are scored."""
    makers: dict[str, Show] = {"image": show_images, "text": show_text}
    return makers.get(pipeline.info.kind, show_numbers)(pipeline, data, n, folder)


def show_images(pipeline: Pipeline, data: Data, n: int, folder: Path) -> tuple[list[Section], dict[str, Any]]:
    """A grid by class, the film strip, a repainted lower half of real test images, and the metrics of n samples."""
    classes = pipeline.info.classes
    shown = 10 * len(classes) if 0 < len(classes) <= 20 else 64
    turn = pipeline.in_turn(shown)
    images = pipeline.sample(shown, seed=1, **turn)
    sections = [samples_section(images, turn.get("label"), classes)]
    sections.append(film_of(pipeline, 5, **pipeline.in_turn(5)))
    before, known, after = repainted(pipeline, data)
    text = "The lower half is hidden and repainted; the model is told the class." if classes else ""
    sections.append(inpainting_section(before, known, after, text=text))
    save_tensors(folder / "shown.safetensors", {"samples": images, "before": before, "after": after})
    size = data.open("test").info.size
    if size is not None and size < LEAST:
        text = f"Nothing is measured: {size} held-out images are too few, at least {LEAST} are needed."
        return [*sections, Section(title="Metrics", text=text)], {}
    scores = score_samples(pipeline, data, n=n)
    return [*sections, metrics_section(scores)], {"samples": scores}


def repainted(pipeline: Pipeline, data: Data, count: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    """Real test images, where they are known (b, 1, h, w), and the images with the rest repainted."""
    batch = first_items(data, count)
    before = batch["x"]
    mask = torch.zeros(len(before), 1, *before.shape[2:], dtype=torch.bool)
    mask[:, :, before.shape[2] // 2 :] = True
    values = {name: batch[name] for name in pipeline.in_turn(1) if name in batch}
    return before, ~mask, pipeline.edit(before, mask, seed=3, **values)


def show_text(pipeline: Pipeline, data: Data, n: int, folder: Path) -> tuple[list[Section], dict[str, Any]]:
    """The bound in bits beside unigram and bigram baselines, samples by two decoders (by its own alone where symbols
    have schedules of their own), and a filled-in middle."""
    likelihood, table = text_bound(pipeline, data, n)
    samples = []
    decoders = DECODERS if hasattr(pipeline.process, "schedule") else {"its own": pipeline.sampler.update}
    for name, update in decoders.items():
        own = Pipeline(pipeline.model, pipeline.process, pipeline.codec, replace(pipeline.sampler, update=update),
                       pipeline.info)  # fmt: skip
        samples += [(name, text) for text in own.sample(4, seed=1)]
    sections = [
        Section(title="Likelihood", table=table, text="The bound is the process's own (nelbo), on held-out text."),
        Section(title="Samples", samples=tuple(samples)),
        Section(title="Filled in", samples=tuple(filled(pipeline, data)),
                text="The characters between the brackets were hidden; all others are given and unchanged."),
    ]  # fmt: skip
    return sections, {"likelihood": likelihood, "decoded": [list(pair) for pair in samples]}


DECODERS = {
    "ancestral": Ancestral(),
    "confidence": Ordered(proposal=Categorical(temperature=0.8), orders=(Confidence(),)),
}


def text_bound(pipeline: Pipeline, data: Data, n: int) -> tuple[dict[str, Any], Table]:
    """The bound on up to n held-out items, and a table of it beside the baselines on the same items."""
    test, train = indexed(data), data.open("train")
    most = min(n, test.info.size or n)
    found = bound(pipeline, data, most)
    held = "".join(test.batch(torch.arange(most))["x"])
    learnt = train.text  # type: ignore[union-attr]
    bits = found["bits"]
    found["baselines"] = {"unigram": unigram_bits(learnt, held), "bigram": bigram_bits(learnt, held)}
    rows = [(name, f"{value:.3f}", "") for name, value in found["baselines"].items()]
    rows.append(
        (f"this model (at most; {most} items)", f"{bits['value']:.3f}", f"{bits['low']:.3f} to {bits['high']:.3f}")
    )
    return found, Table(columns=("model", "bits per character", "interval"), rows=tuple(rows), right=(1, 2))


def filled(pipeline: Pipeline, data: Data, count: int = 3) -> list[tuple[str, str]]:
    """Held-out texts with the middle third hidden and filled in again, each under its original."""
    texts = first_items(data, count)["x"]
    state = pipeline.coder.encode(texts)
    length = state.shape[1]
    low, high = length // 3, 2 * length // 3
    where = torch.ones_like(state, dtype=torch.bool)
    where[:, low:high] = False
    made = pipeline.complete(Known(values=state, where=where), seed=2)
    out = []
    for original, new in zip(texts, made, strict=True):
        out += [("original", _bracketed(original, low, high)), ("filled in", _bracketed(new, low, high))]
    return out


def _bracketed(text: str, low: int, high: int) -> str:
    return f"{text[:low]}[{text[low:high]}]{text[high:]}"


def show_numbers(pipeline: Pipeline, data: Data, n: int, folder: Path) -> tuple[list[Section], dict[str, Any]]:
    """For states that are neither images nor text: samples are saved, nothing is drawn."""
    made = pipeline.sample(min(n, 64), seed=1, **pipeline.in_turn(min(n, 64)))
    save_tensors(folder / "shown.safetensors", {"samples": made})
    return [Section(title="Samples", text=f"{len(made)} samples are in shown.safetensors.")], {}
