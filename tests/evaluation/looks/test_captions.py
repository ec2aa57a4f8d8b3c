import torch

from frisket.codecs.palette import Palette
from frisket.codecs.readers import Reader
from frisket.codecs.sentences import Sentences
from frisket.core import from_config, to_config
from frisket.data.scenes import Dial, Scenes
from frisket.evaluation.looks.captions import Captioned
from frisket.evaluation.scores import captions as scores
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch
from frisket.models.doors import Door
from frisket.models.layers.attention import Cross
from frisket.models.layers.grid_ids import GridIds
from frisket.processes.masked import Masked
from frisket.sampling.decoding.decoder import Ordered
from frisket.sampling.guidance import cfg
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler

DATA = Scenes(size=(8, 8), dial=Dial(objects=(1, 1)), facts=("colour", "place"))
CODEC = Palette(colours=((0.1, 0.1, 0.3), (0.8, 0.2, 0.2), (0.2, 0.7, 0.3), (0.9, 0.9, 0.8)), patch=2)


def drawing():
    source = DATA.open("train")
    reader = Reader(codec=Sentences()).fit(source)
    words = GridIds().fit(reader.build(source.info).spec, 0)
    block = Block(branches=(Branch(name="cross", mixer=Cross()), *Block().branches))
    config = Transformer(
        width=16, heads=2, blocks=(block,), doors=(Door(name="caption", way="context", embedder=words),)
    )
    model = config.fit(CODEC.spec(source.info), 4, {}).build()
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.3 * torch.randn(value.shape, generator=draw))
    sampler = Sampler(steps=2, update=Ordered(), guidance=cfg(2.0))
    return Pipeline(model, Masked(vocabulary=4), CODEC, sampler, source.info, reads={"caption": reader})


def test_everything_that_a_model_of_captions_can_do_is_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(scores, "reader", lambda role: Finds())
    pipeline, look = drawing(), Captioned(columns=3)
    sections, found = look.sections(pipeline, DATA, 4, tmp_path)
    titles = [s.title for s in sections]
    assert titles == [
        "Captions and samples", "From noise to samples", "Inpainting", "Outpainting", "Editing without a mask",
        "Negative captions", "Agreement",
    ]  # fmt: skip
    assert set(found["captions"]) == {"agreement", "spread", "rows", "encoded"}
    assert found["captions"]["agreement"] == 1.0
    assert (tmp_path / "shown.safetensors").is_file()
    captions = DATA.open("test").batch(torch.arange(6))["caption"]
    assert all(text in sections[0].figures[0].markup for text in captions[:3])
    assert all("Given pixels are unchanged." in s.figures[0].caption for s in sections[2:4])
    assert from_config(to_config(look)) == look


def test_stages_are_shown_one_above_the_other(tmp_path):
    first, last = drawing(), drawing()
    last.stages["low"] = first
    last._staged = lambda conditions, make: dict(conditions)  # this model reads no such condition
    sections, found = Captioned(captions=("red circle at top",), columns=1, score=False).sections(
        last, DATA, 2, tmp_path
    )
    assert "Stages" in [s.title for s in sections]
    assert found == {}
    assert "red circle at top" in sections[0].figures[0].markup


class Finds:
    def find(self, images, statements):
        return [[1.0] * len(said.objects) for said in statements]
