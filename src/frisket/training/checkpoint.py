"""Checkpoints: a folder that is whole or absent, without pickles, loadable in any layout and process count.

    step-00000100/ config.json, model.safetensors   the model to use (the first EMA), as the task saves it
                   training.safetensors             raw weights, buffers, optimiser state, all averages, by name
                   state.json                       step, samples, data position, meters, the trainer's config

Everything random is keyed by seed, sample and step, so these counters are the state of the generators.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from frisket.core.errors import FrisketError
from frisket.core.files import atomic_folder, load_tensors, read_json, save_tensors, write_json
from frisket.core.kinds import check_kind
from frisket.training.layout import cut, full, put

FOLDER = re.compile(r"step-(\d{8,})")
LEFT = re.compile(r"\..+\.\d+\.(tmp|old)|\.step-\d{8,}\.old")  # the names of `core.files`, and of `rotate`
FORMAT = 1
STATE = {
    "step": int, "samples": int, "loader": dict[str, Any], "meters": dict[str, Any], "scaler": dict[str, Any],
    "trainer": dict[str, Any], "data": str, "optimiser": dict[str, Any],
}  # fmt: skip


def folder_of(run: Path, step: int) -> Path:
    return run / f"step-{step:08d}"


def found(run: Path) -> list[Path]:
    """The complete checkpoints of a run, oldest first; folders being written or removed have other names."""
    if not run.is_dir():
        return []
    steps = [(int(m.group(1)), p) for p in run.iterdir() if (m := FOLDER.fullmatch(p.name)) and p.is_dir()]
    return [p for _, p in sorted(steps) if (p / "state.json").is_file() and (p / "training.safetensors").is_file()]


def latest(run: Path | str) -> Path | None:
    """The newest complete checkpoint of a run folder, or None."""
    return next(reversed(found(Path(run))), None)


def optimiser_state(
    optimisers: Sequence[torch.optim.Optimizer], names: Mapping[int, str]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors ("optimiser/<parameter>/<key>", in full) and plain numbers of every optimiser; `names` by id."""
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, Any] = {}
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            for p in group["params"]:
                for key, value in optimiser.state.get(p, {}).items():
                    name = f"optimiser/{names[id(p)]}/{key}"
                    if isinstance(value, Tensor):
                        tensors[name] = full(value, like=p if value.ndim else None)
                    else:
                        numbers[name] = value
    return tensors, numbers


def load_optimiser_state(
    optimisers: Sequence[torch.optim.Optimizer], names: Mapping[int, str], tensors: Mapping[str, Tensor],
    numbers: Mapping[str, Any],
) -> None:  # fmt: skip
    """The reverse of `optimiser_state`, into whatever layout the parameters have now."""
    held: dict[str, dict[str, Any]] = {}
    for name, value in {**tensors, **numbers}.items():
        if name.startswith("optimiser/"):
            parameter, key = name.removeprefix("optimiser/").rsplit("/", 1)
            held.setdefault(parameter, {})[key] = value
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            for p in group["params"]:
                state = held.pop(names[id(p)], {})
                optimiser.state[p] = {k: _placed(v, p, bool(group.get("fused"))) for k, v in state.items()}
    if held:
        raise FrisketError(f"the checkpoint holds optimiser state of parameters that do not learn now: {sorted(held)}")


def _placed(value: Any, p: Tensor, fused: bool) -> Any:
    """A step counter (no dimensions) is kept where torch keeps it: on the CPU, and beside its parameter if the
    optimiser is fused."""
    if not isinstance(value, Tensor):
        return value
    if value.ndim:
        return cut(value, p)
    return value.to(p.device) if fused else value


def _changing(task: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers but for the submodules that the task calls `fixed` (a pretrained codec)."""
    fixed = tuple(f"{name}." for name in getattr(task, "fixed", ()))
    return {n: v for n, v in task.state_dict().items() if isinstance(v, Tensor) and not n.startswith(fixed)}


def weights(task: nn.Module) -> dict[str, Tensor]:
    """Raw parameters and buffers in full, named "weights/<name>" (a collective call when sharded)."""
    return {f"weights/{n}": full(v) for n, v in _changing(task).items()}


def load_weights(task: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Raises `FrisketError` naming what is missing, superfluous or of another shape."""
    here = _changing(task)
    saved = {n.removeprefix("weights/"): v for n, v in tensors.items() if n.startswith("weights/")}
    wrong = [n for n in here if n in saved and here[n].shape != saved[n].shape]
    if here.keys() != saved.keys() or wrong:
        raise FrisketError(
            f"the checkpoint is of another model: missing {sorted(here.keys() - saved.keys())[:5]}, "
            f"superfluous {sorted(saved.keys() - here.keys())[:5]}, of another shape {wrong[:5]}"
        )
    for name, value in here.items():
        put(value, saved[name])


def write(
    run: Path, state: Mapping[str, Any], tensors: Mapping[str, Tensor], save_model: Callable[[Path], None],
) -> Path:  # fmt: skip
    """Write one checkpoint as a whole. `save_model` puts the usable model into the folder that it is given.

    Raises `FrisketError` if the disk refuses; then what stood there before still stands.
    """
    folder = folder_of(run, state["step"])
    try:
        with atomic_folder(folder) as aside:
            save_model(aside)
            save_tensors(aside / "training.safetensors", tensors)
            write_json(aside / "state.json", {"format": FORMAT, **state})
    except OSError as error:
        raise FrisketError(f"checkpoint {folder} could not be written: {error}") from error
    return folder


def read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(state, tensors) of one checkpoint. Raises `FrisketError` on missing, truncated or foreign files."""
    state = read_json(folder / "state.json")
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise FrisketError(f"{folder / 'state.json'} is not of format {FORMAT}")
    for name, kind in STATE.items():
        if name not in state:
            raise FrisketError(f"{folder / 'state.json'} lacks {name!r}")
        check_kind(state[name], kind, f"{name} in {folder / 'state.json'}")
    return state, load_tensors(folder / "training.safetensors")


def rotate(run: Path, keep: int, every: int) -> None:
    """Remove all but the last `keep` checkpoints and those at multiples of `every` steps (0: none of these)."""
    for folder in found(run)[:-keep]:
        match = FOLDER.fullmatch(folder.name)
        if match and not (every and int(match.group(1)) % every == 0):
            away = folder.with_name(f".{folder.name}.old")  # renamed first, so half a folder is never taken for whole
            folder.replace(away)
            shutil.rmtree(away)


def sweep(run: Path) -> None:
    """Remove what a killed process left half written or half removed in `run`: folders, and files written aside."""
    for path in run.glob(".*"):
        if not LEFT.fullmatch(path.name):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
