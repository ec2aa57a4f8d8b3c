"""`frisket import dit CKPT.pt OUT/`: an official checkpoint becomes a frisket model folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from frisket.cli.options import parse
from frisket.core.errors import FrisketError

ABOUT = "Turn an official checkpoint into a frisket model. Read with weights_only=True or as safetensors; no code of it runs."


@dataclass
class Import:
    system: Annotated[str, tyro.conf.Positional]
    """whose checkpoint it is ("dit", "sit", ...)"""
    checkpoint: Annotated[str, tyro.conf.Positional]
    """.pt, .pth or .safetensors file"""
    out: Annotated[str, tyro.conf.Positional]
    """folder to write"""
    facts: str = "{}"
    """JSON of what tensor shapes cannot tell, for example '{"num_heads": 16, "input_size": 32}'"""


def main(argv: list[str]) -> int:
    from frisket.interop.official import import_official

    options, _ = parse(Import, argv, "import", ABOUT)
    try:
        facts = json.loads(options.facts)
    except json.JSONDecodeError as error:
        raise FrisketError(f"--facts {options.facts!r} is not JSON: {error}") from None
    pipeline = import_official(options.system, Path(options.checkpoint), **facts)
    pipeline.save_pretrained(options.out)
    print(f"wrote {options.out}; sample it with: frisket sample {options.out}")
    return 0
