import json
from dataclasses import dataclass, replace

import pytest
import torch
from sampling_fakes import tiny_pipeline

from frisket.codecs.readers import Reader
from frisket.codecs.sentences import Sentences
from frisket.codecs.text import Ids as IdsCodec
from frisket.core import FrisketError, apply_edits, register
from frisket.core.files import load_tensors, save_tensors
from frisket.data.base import Info
from frisket.models.backbones.transformer import Transformer
from frisket.models.doors import Door
from frisket.models.layers.embedders import ClassIds
from frisket.models.layers.ends import Ids, Logits
from frisket.processes.masked_by_symbol import MaskedBySymbol
from frisket.sampling.decoding.outcomes import Outcomes
from frisket.sampling.folder import read_info
from frisket.sampling.guidance import cfg
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler


@register("edit/test-wider")
@dataclass(frozen=True, kw_only=True)
class Extra:
    """Adds a weight that the base config does not have."""

    size: int = 3

    def build(self, model):
        model.register_parameter("extra", torch.nn.Parameter(torch.zeros(self.size)))

    def carry(self, weights):
        return dict(weights)


@pytest.fixture
def saved(tmp_path):
    pipeline = tiny_pipeline(guidance=cfg(2.0))
    return pipeline, pipeline.save_pretrained(tmp_path / "model")


def test_comes_back_the_same(saved):
    pipeline, folder = saved
    loaded = Pipeline.from_pretrained(folder)
    assert torch.equal(pipeline.sample(2, label=1), loaded.sample(2, label=1))
    assert (loaded.process, loaded.codec, loaded.sampler, loaded.info) == (
        pipeline.process, pipeline.codec, pipeline.sampler, pipeline.info,
    )  # fmt: skip
    assert sorted(f.name for f in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    config = json.loads((folder / "config.json").read_text())
    assert list(config) == ["format", "version", "model", "edits", "process", "codec", "sampler", "info"]
    assert config["format"] == "frisket/1"


def test_readers_are_saved_too(tmp_path):
    reader = Reader(codec=Sentences(words=("red", "one"), length=2))
    door = Door(name="caption", way="vector", embedder=ClassIds(classes=4))
    plain = tiny_pipeline()
    model = replace(plain.model.config, doors=(door,)).build()
    pipeline = Pipeline(model, plain.process, plain.codec, plain.sampler, plain.info, reads={"caption": reader})
    folder = pipeline.save_pretrained(tmp_path / "model")
    loaded = Pipeline.from_pretrained(folder)
    assert loaded.reads == {"caption": reader}
    said = [["red one", "one"], [None, "one"]]
    for captions in said:
        assert torch.equal(pipeline.sample(2, caption=captions), loaded.sample(2, caption=captions))
    config = json.loads((folder / "config.json").read_text())
    config["reads"] = {"caption": {"part": "codec/pixels"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(FrisketError, match="reads"):
        Pipeline.from_pretrained(folder)


def learnt_pipeline():
    info = Info(kind="ids", shape=(6,), extra={"vocabulary": 4})
    process = MaskedBySymbol(vocabulary=4)
    model = Transformer(width=16, heads=2, input=Ids(vocabulary=4, size=(6,)), output=Logits(vocabulary=4)).build()
    pipeline = Pipeline(model, process, IdsCodec(vocabulary=4), Sampler(steps=3, update=Outcomes()), info)
    with torch.no_grad():
        pipeline.process.theta.copy_(torch.tensor([-1.0, 0.0, 1.0, 2.0]))
    return pipeline


def test_a_process_with_weights_is_saved_too(tmp_path):
    pipeline = learnt_pipeline()
    folder = pipeline.save_pretrained(tmp_path / "model")
    loaded = Pipeline.from_pretrained(folder)
    assert loaded.process.config == pipeline.process.config
    assert torch.equal(loaded.process.theta, pipeline.process.theta)
    assert torch.equal(pipeline.sample(3), loaded.sample(3))
    average = {"theta": torch.zeros(4)}
    again = Pipeline.from_pretrained(pipeline.save_pretrained(tmp_path / "average", process=average))
    assert torch.equal(again.process.theta, torch.zeros(4))
    (folder / "process.safetensors").unlink()
    with pytest.raises(FrisketError, match="process.safetensors"):
        Pipeline.from_pretrained(folder)


def test_stages_are_saved_too(tmp_path):
    first, last = tiny_pipeline(seed=1), tiny_pipeline(seed=2)
    last.stages["label"] = first
    folder = last.save_pretrained(tmp_path / "model")
    assert sorted(f.name for f in folder.iterdir()) == ["README.md", "config.json", "model.safetensors", "stages"]
    loaded = Pipeline.from_pretrained(folder)
    assert torch.equal(loaded.stages["label"].sample(2, label=1), first.sample(2, label=1))
    assert not loaded.stages["label"].stages
    last.save_pretrained(folder)  # a folder of ours is replaced
    last.stages.clear()
    assert not Pipeline.from_pretrained(last.save_pretrained(folder)).stages


def test_edits_are_saved_with_the_model(tmp_path):
    pipeline = tiny_pipeline()
    apply_edits(pipeline.model, [Extra(size=5)])
    with torch.no_grad():
        pipeline.model.extra.fill_(2.0)
    loaded = Pipeline.from_pretrained(pipeline.save_pretrained(tmp_path / "model"))
    assert loaded.model.extra.tolist() == [2.0] * 5
    assert loaded.model.edits == (Extra(size=5),)
    again = Pipeline.from_pretrained(loaded.save_pretrained(tmp_path / "again"))
    assert again.model.edits == (Extra(size=5),)


def test_other_weights_in_place_of_the_models(tmp_path):
    pipeline = tiny_pipeline()
    average = {k: v * 0.5 for k, v in pipeline.model.state_dict().items()}
    folder = pipeline.save_pretrained(tmp_path / "model", weights=average)
    for name, value in load_tensors(folder / "model.safetensors").items():
        assert torch.equal(value, average[name])
    with pytest.raises(FrisketError, match="missing"):
        pipeline.save_pretrained(tmp_path / "other", weights={})


def test_saving_again_replaces_but_never_a_folder_of_something_else(saved, tmp_path):
    pipeline, folder = saved
    pipeline.save_pretrained(folder)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_text("x")
    with pytest.raises(FrisketError, match="other files"):
        pipeline.save_pretrained(tmp_path / "photos")
    assert (tmp_path / "photos" / "cat.png").read_text() == "x"


def test_readme_is_a_card(saved):
    _, folder = saved
    text = (folder / "README.md").read_text()
    assert text.startswith("---\nlibrary_name: frisket")
    assert "solver/euler" in text
    assert "4 classes" in text


def change(folder, **fields):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | fields))


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"format": "other/2"}, "frisket/1"),
        ({"process": {"part": "process/gausian"}}, "did you mean 'process/gaussian'"),
        ({"sampler": {"part": "sampler/loop", "stepz": 3}}, "stepz"),
        ({"info": {"kind": "image", "colour": 1}}, "colour"),
    ],
)
def test_broken_configs_are_one_line(saved, fields, match):
    _, folder = saved
    change(folder, **fields)
    with pytest.raises(FrisketError, match=match) as error:
        Pipeline.from_pretrained(folder)
    assert "\n" not in str(error.value)


def test_a_missing_field(saved):
    _, folder = saved
    config = json.loads((folder / "config.json").read_text())
    del config["codec"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(FrisketError, match="lacks 'codec'"):
        Pipeline.from_pretrained(folder)


def test_weights_that_do_not_fit_are_one_line(saved):
    _, folder = saved
    tensors = load_tensors(folder / "model.safetensors")
    name, value = next(iter(tensors.items()))
    cases = [
        ({k: v for k, v in tensors.items() if k != name}, "missing: " + name),
        (tensors | {"stranger": value}, "unexpected: stranger"),
        (tensors | {name: torch.zeros(value.numel() + 1)}, "shapes of " + name),
    ]
    for weights, match in cases:
        save_tensors(folder / "model.safetensors", weights)
        with pytest.raises(FrisketError, match=match) as error:
            Pipeline.from_pretrained(folder)
        assert "\n" not in str(error.value)


def test_a_pickle_is_never_loaded(saved):
    _, folder = saved
    torch.save({"a": torch.zeros(1)}, folder / "model.safetensors")
    with pytest.raises(FrisketError, match="safetensors"):
        Pipeline.from_pretrained(folder)


@pytest.mark.parametrize("source", ["no/such-repository-of-frisket", "no-such-folder", "./no/such/folder"])
def test_sources_that_are_nothing(source):
    with pytest.raises(FrisketError) as error:
        Pipeline.from_pretrained(source)
    assert "\n" not in str(error.value)


def test_hub_round_trip_through_the_client(saved, monkeypatch, tmp_path):
    """The hub is stood in for by a folder: what is uploaded is what is downloaded."""
    import shutil

    import huggingface_hub

    pipeline, _ = saved
    hub = tmp_path / "hub"

    class Api:
        def create_repo(self, repo, private, exist_ok):
            return f"https://hub/{repo}"

        def upload_folder(self, repo_id, folder_path, commit_message):
            shutil.copytree(folder_path, hub / repo_id)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda repo, allow_patterns: str(hub / repo))
    assert pipeline.push_to_hub("me/digits") == "https://hub/me/digits"
    loaded = Pipeline.from_pretrained("me/digits")
    assert torch.equal(loaded.sample(1, label=0), pipeline.sample(1, label=0))


def test_info_round_trip():
    info = Info(kind="image", shape=(1, 8, 8), size=10, classes=("a", "b"), digest="x", extra={"rate": 2})
    from dataclasses import asdict

    assert read_info(json.loads(json.dumps(asdict(info)))) == info
