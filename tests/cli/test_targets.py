"""What a verb's argument names."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from frisket.cli.targets import data_of, label_of, load_experiment, load_on, read_exact, read_mask, said
from frisket.core import FrisketError
from frisket.data.digits import Digits
from frisket.data.imagefolder import ImageFolder


def save(path, values, mode=None):
    Image.fromarray(np.asarray(values), mode).save(path)
    return str(path)


def test_a_run_knows_its_experiment_and_its_data(dit_run):
    experiment = load_experiment(str(dit_run))
    assert experiment.model.width == 16
    info = load_on(str(dit_run)).info
    assert data_of(str(dit_run), None, info) == Digits()
    assert load_experiment(str(dit_run / "model")) is None
    assert data_of(str(dit_run / "model"), "digits", info) == Digits()
    with pytest.raises(FrisketError, match="give --data"):
        data_of(str(dit_run / "model"), None, info)
    assert data_of("", "imagefolder:mine", info) == ImageFolder(target="mine", size=8, channels=1)


def test_a_run_and_its_model_are_one_pipeline(dit_run):
    run, model = (load_on(str(place)) for place in (dit_run, dit_run / "model"))
    assert torch.equal(run.sample(2, steps=1, label=3), model.sample(2, steps=1, label=3))


def test_a_gpu_that_is_not_there_is_refused(dit_run, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(FrisketError, match="--device"):
        load_on(str(dit_run), "cuda")


def test_a_class_is_a_number_or_a_name():
    assert label_of(None) == {}
    assert label_of("3") == {"label": 3}
    assert label_of("-1") == {"label": -1}
    assert label_of("cat") == {"label": "cat"}
    assert said("3", "a cat") == {"label": 3, "caption": "a cat"}
    assert said(None, None) == {}


def test_an_image_is_read_value_for_value(tmp_path):
    values = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    image = read_exact(save(tmp_path / "a.png", values), 3, (4, 4))
    assert torch.equal((image[0] * 255).round().byte().permute(1, 2, 0), torch.from_numpy(values))
    grey = read_exact(save(tmp_path / "b.png", np.repeat(values[..., :1], 3, axis=2)), 1, (4, 4))  # grey stored as RGB
    assert torch.equal((grey[0, 0] * 255).round().byte(), torch.from_numpy(values[..., 0]))


def test_an_image_that_would_lose_something_is_refused(tmp_path):
    colour = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    through = np.full((4, 4, 4), 9, dtype=np.uint8)
    for name, values, channels in (("a", colour, 1), ("b", through, 3), ("c", np.full((4, 4), 999, np.uint16), 1)):
        with pytest.raises(FrisketError, match="cannot be kept exactly"):
            read_exact(save(tmp_path / f"{name}.png", values), channels, (4, 4))


def test_another_size_a_missing_and_a_broken_file_are_refused(tmp_path):
    path = save(tmp_path / "a.png", np.zeros((4, 6), np.uint8))
    with pytest.raises(FrisketError, match=r"is 6 x 4 \(w x h\); the model takes 4 x 4"):
        read_exact(path, 1, (4, 4))
    with pytest.raises(FrisketError, match="does not exist"):
        read_exact(str(tmp_path / "b.png"), 1, (4, 4))
    (tmp_path / "c.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    with pytest.raises(FrisketError, match="cannot be read"):
        read_exact(str(tmp_path / "c.png"), 1, (4, 6))


def test_a_mask_is_true_where_it_is_lighter_than_half(tmp_path):
    values = np.array([[0, 127], [128, 255]], np.uint8)
    assert read_mask(save(tmp_path / "m.png", values), (2, 2)).tolist() == [[[[False, False], [True, True]]]]


def test_what_is_no_model_is_refused(dit_run, tmp_path):
    for target, reason in ((dit_run / "report.json", "is a file"), (tmp_path / "none", "neither a folder nor a hub")):
        with pytest.raises(FrisketError, match=reason):
            load_on(str(target))
    half = tmp_path / "half"
    shutil.copytree(dit_run, half)
    shutil.rmtree(half / "model")
    with pytest.raises(FrisketError, match="has not finished"):
        load_on(str(half))


def broken(dit_run, tmp_path, **changes):
    folder = tmp_path / "model"
    shutil.copytree(dit_run / "model", folder)
    for name, change in changes.items():
        path = folder / name.replace("_", ".")
        path.write_bytes(change(path.read_bytes()))
    return str(folder)


def test_a_truncated_and_a_pickled_file_of_weights_are_refused(dit_run, tmp_path):
    cut = broken(dit_run, tmp_path / "a", model_safetensors=lambda b: b[: len(b) // 2])
    with pytest.raises(FrisketError, match="not a whole safetensors file"):
        load_on(cut)
    torch.save({"w": torch.zeros(2)}, tmp_path / "w.pt")
    pickled = broken(dit_run, tmp_path / "b", model_safetensors=lambda b: (tmp_path / "w.pt").read_bytes())
    with pytest.raises(FrisketError, match="pickles are never loaded"):
        load_on(pickled)


def test_a_config_that_names_an_unregistered_part_is_refused(dit_run, tmp_path):
    def rename(text):
        config = json.loads(text)
        config["process"]["path"]["part"] = "path/flwo"
        return json.dumps(config).encode()

    with pytest.raises(FrisketError, match="unknown part 'path/flwo'; did you mean 'path/flow'"):
        load_on(broken(dit_run, tmp_path, config_json=rename))
