"""`frisket doctor`: versions, devices, threads, and which optional libraries are missing."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from frisket.cli.options import parse

ABOUT = "Show versions, devices and threads, and what is missing for which extra."
CORE = ("torch", "numpy", "safetensors", "huggingface_hub", "tyro", "rich", "jaxtyping", "matplotlib", "pillow",
        "scikit-learn")  # fmt: skip
EXTRAS = {
    "diffusers": ("diffusers", "transformers", "peft"),
    "data": ("datasets", "webdataset"),
    "metrics": ("torch-fidelity", "lpips"),
    "track": ("tensorboard", "wandb", "trackio"),
    "quant": ("torchao",),
    "studio": ("gradio",),
}


@dataclass
class Doctor:
    json: bool = False
    """print JSON instead of text"""


def examine() -> dict:
    """What `doctor` shows, as plain data."""
    import torch

    from frisket import __version__

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "frisket": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "core": {name: _version(name) for name in CORE},
        "extras": {extra: {name: _version(name) for name in names} for extra, names in EXTRAS.items()},
        "cpu threads": torch.get_num_threads(),
        "devices": gpus or ["cpu"],
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def main(argv: list[str]) -> int:
    options, _ = parse(Doctor, argv, "doctor", ABOUT)
    found = examine()
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    print(f"frisket {found['frisket']}, Python {found['python']}, {found['platform']}")
    print(f"devices: {', '.join(found['devices'])}; CPU threads: {found['cpu threads']}")
    print("core: " + ", ".join(f"{k} {v or 'MISSING'}" for k, v in found["core"].items()))
    for extra, held in found["extras"].items():
        missing = [k for k, v in held.items() if v is None]
        state = "complete" if not missing else f"missing {', '.join(missing)}: pip install 'frisket[{extra}]'"
        print(f"extra {extra}: {state}")
    return 0 if all(found["core"].values()) else 1
