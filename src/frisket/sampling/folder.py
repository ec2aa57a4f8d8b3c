"""A pipeline as a folder: config.json, model.safetensors, README.md. Nothing in it is ever run: parts are built from
registered names, weights are safetensors.

config.json: {"format": "frisket/1", "version", "model", "edits", "process", "codec", "sampler", "info"} and, where
conditions have readers, "reads". A codec with weights adds codec.safetensors, a process with weights
process.safetensors, readers with weights reads.safetensors, earlier stages a folder "stages" with a pipeline's folder
for each. process and sampler are null for a model that makes
no samples.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from frisket.codecs.base import CodecConfig
from frisket.codecs.readers import Reader
from frisket.core.config import from_config, to_config
from frisket.core.edits import Edit, build_edited
from frisket.core.errors import FrisketError, check, unknown
from frisket.core.files import atomic_folder, load_tensors, read_json, save_tensors, write_json
from frisket.core.kinds import check_kind, hints_of
from frisket.data.base import Info
from frisket.models.base import BackboneConfig
from frisket.processes.base import Process, ProcessConfig, config_of
from frisket.sampling.sampler import Sampler

if TYPE_CHECKING:
    from frisket.sampling.pipeline import Pipeline

FORMAT = "frisket/1"
FILES = (
    "config.json", "model.safetensors", "codec.safetensors", "process.safetensors", "reads.safetensors", "stages",
    "README.md",
)  # fmt: skip
KINDS = {
    "model": BackboneConfig | None,
    "edits": tuple[Edit, ...],
    "process": Process | ProcessConfig | None,
    "codec": CodecConfig,
    "sampler": Sampler | None,
}
FIELDS = ("format", "version", *KINDS, "info")


def save(
    pipeline: Pipeline, folder: Path, weights: Mapping[str, Tensor] | None,
    process: Mapping[str, Tensor] | None = None,
) -> Path:  # fmt: skip
    """Write the folder as a whole; one that is not a pipeline's is never replaced."""
    model = pipeline.model
    if not hasattr(model, "config") and not _bare(model):
        raise FrisketError(f"{type(model).__name__} has no config, so it cannot be built again; it is not saved")
    if folder.exists() and not (folder.is_dir() and {f.name for f in folder.iterdir()} <= set(FILES)):
        raise FrisketError(f"{folder} holds other files, and saving replaces the folder; choose another one")
    tensors = dict(model.state_dict() if weights is None else weights)
    _check_names(folder, set(model.state_dict()), set(tensors))
    config = describe(pipeline)
    with atomic_folder(folder) as aside:
        write_json(aside / "config.json", config)
        save_tensors(aside / "model.safetensors", tensors, {"format": "pt"})
        if isinstance(pipeline.coder, nn.Module):
            save_tensors(aside / "codec.safetensors", pipeline.coder.state_dict(), {"format": "pt"})
        if isinstance(pipeline.process, nn.Module):
            save_tensors(aside / "process.safetensors", process or pipeline.process.state_dict(), {"format": "pt"})
        readers = nn.ModuleDict(pipeline.readers).state_dict()
        if readers:
            save_tensors(aside / "reads.safetensors", readers, {"format": "pt"})
        for name, stage in pipeline.stages.items():
            save(stage, aside / "stages" / name, None)
        (aside / "README.md").write_text(card(config, sum(v.numel() for v in tensors.values())))
    return folder


def _bare(model: nn.Module) -> bool:
    """Whether this stands for no model at all: the pipeline of a codec."""
    return type(model) is nn.Identity


def describe(pipeline: Pipeline) -> dict[str, Any]:
    """The pipeline's config.json."""
    return {
        "format": FORMAT,
        "version": _version(),
        "model": None if _bare(pipeline.model) else to_config(pipeline.model.config),
        "edits": to_config(tuple(getattr(pipeline.model, "edits", ()))),
        "process": to_config(config_of(pipeline.process)),
        "codec": to_config(pipeline.codec),
        "sampler": to_config(pipeline.sampler),
        "info": to_config(dataclasses.asdict(pipeline.info)),
        **({"reads": to_config(pipeline.reads)} if pipeline.reads else {}),
    }


def _version() -> str:
    try:
        return version("frisket")
    except PackageNotFoundError:  # run from a source tree that was not installed
        return "unknown"


def load(cls: type[Pipeline], source: str | Path) -> Pipeline:
    """Build the parts that config.json names and fill in the weights."""
    folder = Path(source) if Path(source).exists() else _download(str(source))
    config = read_json(folder / "config.json")
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        found = config.get("format") if isinstance(config, dict) else type(config).__name__
        raise FrisketError(f"{folder / 'config.json'} has the format {found!r}; this version reads {FORMAT!r}")
    for name in FIELDS:
        if name not in config:
            raise FrisketError(f"{folder / 'config.json'} lacks {name!r}")
    parts = {name: from_config(config[name], kind, name) for name, kind in KINDS.items()}
    reads = from_config(config.get("reads", {}), dict[str, Reader], "reads")
    info = read_info(config["info"])
    try:
        model = nn.Identity() if parts["model"] is None else build_edited(parts["model"], parts["edits"])
    except (RuntimeError, OverflowError) as error:  # sizes below 0, or beyond any memory
        raise FrisketError(f"{folder / 'config.json'}: the model cannot be built: {_first_line(error)}") from None
    _fill(model, folder / "model.safetensors")
    held = sorted(p for p in (folder / "stages").iterdir()) if (folder / "stages").is_dir() else []
    stages = {place.name: load(cls, place) for place in held}
    pipeline = cls(model.eval(), parts["process"], parts["codec"], parts["sampler"], info, reads=reads, stages=stages)
    if isinstance(pipeline.coder, nn.Module):
        _fill(pipeline.coder, folder / "codec.safetensors")
    if isinstance(pipeline.process, nn.Module):
        _fill(pipeline.process, folder / "process.safetensors")
    readers = nn.ModuleDict(pipeline.readers)
    if readers.state_dict():
        _fill(readers, folder / "reads.safetensors")
    return pipeline


def read_info(data: Any) -> Info:
    """`Info` from its JSON form. Raises `FrisketError` on a field that it does not have, or of another kind."""
    check_kind(data, dict[str, Any], "info")
    accepted = [f.name for f in dataclasses.fields(Info)]
    for name in data:
        if name not in accepted:
            raise unknown("field of info", name, accepted)
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    for name, value in fields.items():
        check_kind(value, hints_of(Info)[name], f"info.{name}")
    check(all(side >= 1 for side in fields.get("shape", ())), "info.shape", fields.get("shape"), "positive sizes")
    return Info(**fields)


def push(pipeline: Pipeline, repo: str, private: bool, message: str) -> str:
    from huggingface_hub import HfApi
    from huggingface_hub.utils import HfHubHTTPError, HFValidationError

    api = HfApi()
    with tempfile.TemporaryDirectory() as place:
        folder = save(pipeline, Path(place) / "pipeline", None)
        try:
            address = str(api.create_repo(repo, private=private, exist_ok=True))
            api.upload_folder(repo_id=repo, folder_path=folder, commit_message=message)
        except (HfHubHTTPError, HFValidationError, OSError) as error:
            raise FrisketError(f"{repo} could not be uploaded: {_first_line(error)}") from None
    return address


def _download(repo: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    if repo.count("/") != 1 or repo.startswith((".", "/", "~")):
        raise FrisketError(f"{repo} is neither a folder nor a hub repository 'owner/name'")
    try:
        return Path(snapshot_download(repo, allow_patterns=["*config.json", "*.safetensors", "README.md"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise FrisketError(f"{repo} is no folder here and could not be downloaded: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@torch.no_grad()
def _fill(module: nn.Module, path: Path) -> None:
    """The tensors of `path` into `module`. Raises `FrisketError` in one line on names or shapes that do not fit."""
    tensors, own = load_tensors(path), module.state_dict()
    _check_names(path, set(own), set(tensors))
    wrong = [f"{k} {tuple(v.shape)} for {tuple(own[k].shape)}" for k, v in tensors.items() if v.shape != own[k].shape]
    if wrong:
        raise FrisketError(f"{path} does not fit the model: shapes of {_some(wrong)}")
    module.load_state_dict(tensors)


def _check_names(path: Path, wanted: set[str], given: set[str]) -> None:
    missing, more = wanted - given, given - wanted
    if missing or more:
        parts = [
            f"{what}: {_some(sorted(names))}" for what, names in (("missing", missing), ("unexpected", more)) if names
        ]
        raise FrisketError(f"{path} does not fit the model; {'; '.join(parts)}")


def _some(names: list[str], limit: int = 4) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def card(config: Mapping[str, Any], parameters: int) -> str:
    """A short README.md for the hub."""
    info = config["info"]
    classes = f"{len(info['classes'])} classes" if info["classes"] else "no classes"
    if config["model"] is None:
        return f"""---
library_name: frisket
tags: [codec]
---
A codec `{config["codec"]["part"]}`, trained on {info["kind"]} data of shape {tuple(info["shape"])} ({classes}).
"""
    process, sampler = config["process"], config["sampler"]
    kind = f"diffusion, {_idea(process)}" if process else _slot(config["model"])
    rows = [("process", f"`{process['part']}`")] if process else []
    rows.append(("codec", f"`{config['codec']['part']}`"))
    rows += [("sampler", f"`{sampler['update']['part']}`, {sampler['steps']} steps")] if sampler else []
    rows.append(("edits", str(len(config["edits"]))))
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return f"""---
library_name: frisket
tags: [{kind}]
---
A {_idea(config["model"])} with {parameters:,} numbers, trained on {info["kind"]} data of shape
{tuple(info["shape"])} ({classes}).

| part | is |
|---|---|
{table}

```python
from frisket.sampling.pipeline import Pipeline

pipeline = Pipeline.from_pretrained("PATH")
{_use(config)}
```
"""


def _use(config: Mapping[str, Any]) -> str:
    """The line that uses a pipeline."""
    if not config["sampler"]:
        return "output = pipeline.model(pipeline.coder.encode(x))  # makes no samples"
    said = "".join(f', {name}="..."' for name, reader in config.get("reads", {}).items() if reader["key"] != "x")
    label = ", label=0" if config["info"]["classes"] and not config.get("reads") else ""
    return f"x = pipeline.sample(4, seed=0{label}{said})"


def _idea(part: Mapping[str, Any]) -> str:
    return part["part"].split("/")[-1]


def _slot(part: Mapping[str, Any]) -> str:
    return part["part"].split("/")[0]
