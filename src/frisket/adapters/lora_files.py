"""An adapter alone as a file: safetensors under the names that huggingface's peft and diffusers read and write.

peft calls the matrices `base_model.model.LAYER.lora_A.weight` (down) and `...lora_B.weight` (up) and keeps rank and
alpha in adapter_config.json beside them; diffusers puts `transformer.` before the layer and takes alpha from the rank
or from a stored number. A layer that makes several outputs with a pair of matrices each is stored as one pair: the
downs one under the other, the ups block-diagonal, which is the same function (of a rank larger by their number).
Facts from huggingface/peft `utils/save_and_load.py` and diffusers `loaders/peft.py`.
Shapes: d fan in, o fan out, r rank, p parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from frisket.adapters.lora import Lora, LowRank, adapted, edits_of
from frisket.core.config import from_config, to_config
from frisket.core.edits import apply_edits
from frisket.core.errors import FrisketError, check
from frisket.core.files import atomic_folder, load_tensors, read_json, save_tensors, write_json

PREFIXES = {"peft": "base_model.model.", "diffusers": "transformer."}
WEIGHTS = {"peft": "adapter_model.safetensors", "diffusers": "pytorch_lora_weights.safetensors"}


def save_lora(model: nn.Module, folder: Path | str, name: str = "default", form: str = "peft") -> Path:
    """Write the adapter `name` of `model` as a folder; form: "peft" or "diffusers".

    Beside the weights stand adapter_config.json (peft's) and lora.json, the edit itself, for `load_lora`. Raises
    `FrisketError` if the model has no such adapter.
    """
    check(form in PREFIXES, "form", form, f"one of {', '.join(PREFIXES)}")
    folder, layers = Path(folder), adapted(model, name)
    edit = next(e for e in reversed(edits_of(model)) if isinstance(e, Lora) and e.name == name)
    if folder.exists() and not {f.name for f in folder.iterdir()} <= {
        *WEIGHTS.values(),
        "adapter_config.json",
        "lora.json",
    }:
        raise FrisketError(f"{folder} holds other files, and saving replaces the folder; choose another one")
    tensors = joined({n: layer.lora[name] for n, layer in layers.items()}, form)  # type: ignore[misc]
    with atomic_folder(folder) as aside:
        save_tensors(aside / WEIGHTS[form], tensors, {"format": "pt"})
        write_json(aside / "adapter_config.json", _peft_config(edit, layers))
        write_json(aside / "lora.json", to_config(edit))
    return folder


def joined(adapters: Mapping[str, LowRank], form: str) -> dict[str, Tensor]:
    """Layer -> adapter as one pair of matrices a layer, under the names of `form`."""
    out = {}
    for layer, adapter in adapters.items():
        downs, ups = ([m.weight.detach() for m in half] for half in (adapter.down, adapter.up))  # type: ignore[union-attr]
        out[f"{PREFIXES[form]}{layer}.lora_A.weight"] = torch.cat(downs)
        out[f"{PREFIXES[form]}{layer}.lora_B.weight"] = torch.block_diag(*ups)
        if form == "diffusers":  # it reads alpha / rank from here
            out[f"{PREFIXES[form]}{layer}.alpha"] = adapter.scale.detach() * len(torch.cat(downs))
    return out


def load_lora(model: nn.Module, folder: Path | str, name: str | None = None) -> nn.Module:
    """Put a saved adapter on a model of the same layers, in place. name: another one than it was saved under.

    Raises `FrisketError` on files that are missing, not this format, or do not fit the model.
    """
    folder = Path(folder)
    edit = from_config(read_json(folder / "lora.json"), Lora, "lora.json")
    edit = edit if name is None else replace(edit, name=name)
    form = next((f for f, file in WEIGHTS.items() if (folder / file).is_file()), None)
    if form is None:
        raise FrisketError(f"{folder} holds none of {', '.join(WEIGHTS.values())}")
    tensors = load_tensors(folder / WEIGHTS[form])
    wanted = {f"{PREFIXES[form]}{n}" for n in edit.layers(model)}
    given = {n.removesuffix(".lora_A.weight") for n in tensors if n.endswith(".lora_A.weight")}
    if wanted != given:
        raise FrisketError(
            f"{folder} does not fit the model: {len(wanted - given)} layers missing, {len(given - wanted)} more"
        )
    apply_edits(model, [edit])
    for layer, module in adapted(model, edit.name).items():
        a, b = (tensors[f"{PREFIXES[form]}{layer}.lora_{x}.weight"] for x in "AB")
        _fill(module.lora[edit.name], a, b, layer)  # type: ignore[arg-type]
    return model


@torch.no_grad()
def _fill(adapter: LowRank, a: Tensor, b: Tensor, layer: str) -> None:
    """Cut the stored pair into the parts' own."""
    parts = len(adapter.down)
    rows, columns = len(a) // parts, len(b) // parts
    for i, (down, up) in enumerate(zip(adapter.down, adapter.up, strict=True)):
        cut = a[i * rows : (i + 1) * rows], b[i * columns : (i + 1) * columns, i * rows : (i + 1) * rows]
        for module, value in zip((down, up), cut, strict=True):
            check(
                module.weight.shape == value.shape,
                f"lora of {layer}",
                tuple(value.shape),
                f"{tuple(module.weight.shape)}",
            )  # type: ignore[union-attr]
            module.weight.copy_(value)  # type: ignore[union-attr,operator]


def _peft_config(edit: Lora, layers: Mapping[str, nn.Module]) -> dict:
    """peft's LoraConfig as JSON. A layer of several parts has their ranks in sum and keeps alpha / rank."""
    parts = {n: len(m.lora[edit.name].down) for n, m in layers.items()}  # type: ignore[index,union-attr]
    wide = {n: p for n, p in parts.items() if p > 1}
    return {
        "peft_type": "LORA", "r": edit.rank, "lora_alpha": edit.alpha, "target_modules": sorted(layers),
        "rank_pattern": {n: edit.rank * p for n, p in wide.items()},
        "alpha_pattern": {n: edit.alpha * p for n, p in wide.items()},
        "lora_dropout": 0.0, "bias": "none", "fan_in_fan_out": False, "use_rslora": False, "use_dora": False,
        "init_lora_weights": True, "inference_mode": True, "base_model_name_or_path": None,
    }  # fmt: skip
