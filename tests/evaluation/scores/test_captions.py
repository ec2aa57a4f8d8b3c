import pytest
import torch
from sampling_fakes import tiny_pipeline

from frisket.core import FrisketError
from frisket.data.digits import Digits
from frisket.data.scenes import Scenes
from frisket.evaluation.scores.captions import Captions, Counting, agreement
from frisket.experiments.measures import check_measures
from frisket.sampling.pipeline import Pipeline


class Finds:
    """A judge that finds what the first pixel says: the probability of every object."""

    def find(self, images, statements):
        return [[float(image[0, 0, 0])] * len(said.objects) for image, said in zip(images, statements, strict=True)]


def test_the_share_of_objects_that_are_found():
    images = torch.tensor([0.9, 0.4, 0.2]).view(3, 1, 1, 1).expand(3, 3, 2, 2)
    captions = ["red circle, blue star", "red circle", "nothing, on navy"]
    assert agreement(images, captions, Finds()).tolist() == [1.0, 0.0, 1.0]


class Draws(Pipeline):
    """A pipeline that draws the true test images for their captions, or those of other captions."""

    def __init__(self, source, shift):
        self.source, self.shift, self.readers, self.stages = source, shift, {"caption": None}, {}
        self.model = torch.nn.Identity()

    def sample(self, n, *, seed, caption):
        self.model(torch.zeros(2 * n, 1))
        batch = self.source.batch(torch.arange(n) + self.shift)
        assert self.shift or caption == batch["caption"]
        return batch["x"] + 0.1 * seed


def test_true_images_agree_and_others_do_not(monkeypatch):
    data = Scenes(size=(32, 32), facts=("colour", "place"))
    source = data.open("test")
    right, wrong = (Captions().take(Draws(source, shift), data, 16, 0) for shift in (0, 16))
    assert right["agreement"] > 0.6
    assert wrong["agreement"] < 0.2
    assert right["rows"] == 2.0
    assert right["spread"] == pytest.approx(0.1, abs=1e-4)
    check_measures(("agreement", "spread", "rows"))


def test_a_model_without_captions_is_refused():
    with pytest.raises(FrisketError, match="reads 'caption'"):
        Captions().take(tiny_pipeline(), Digits(), 4, 0)


def test_rows_of_every_stage_are_counted_until_it_is_stopped():
    first, last = tiny_pipeline(seed=1), tiny_pipeline(seed=2)
    last.stages["low"] = first
    counted = Counting(last)
    first.sample(2, steps=3, guidance=1.0, label=1)
    assert counted.rows == 6
    assert counted.stop() == 6
    first.sample(2, steps=3, guidance=1.0, label=1)
    assert counted.rows == 6
