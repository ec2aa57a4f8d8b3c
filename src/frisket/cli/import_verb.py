"""`frisket import dit CKPT.pt OUT/`: an official checkpoint becomes a frisket model folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from frisket.cli.options import parse
from frisket.core.errors import FrisketError, check

ABOUT = "Turn an official checkpoint into a frisket model. Read with weights_only=True or as safetensors; no code of it runs."


@dataclass
class Import:
    system: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SYSTEM")]
    """whose checkpoint it is ("dit", "sit", ...)"""
    checkpoint: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="CHECKPOINT")]
    """.pt, .pth or .safetensors file"""
    out: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """folder to write"""
    facts: str = "{}"
    """JSON of what tensor shapes cannot tell, for example '{"num_heads": 16, "vae": "sd-vae/"}'; --num-heads 16 is the
    same"""


def main(argv: list[str]) -> int:
    from frisket.interop.official import import_official

    options, pairs = parse(Import, argv, "import", ABOUT, overridable=True)
    facts = {**_facts(options.facts), **{name: _value(text) for name, text in pairs.items()}}
    pipeline = import_official(options.system, Path(options.checkpoint), **facts)
    pipeline.save_pretrained(options.out)
    print(f"wrote {options.out}; sample it with: frisket sample {options.out}")
    return 0


def _facts(text: str) -> dict[str, Any]:
    try:
        facts = json.loads(text)
    except json.JSONDecodeError as error:
        raise FrisketError(f"--facts {text!r} is not JSON: {error}") from None
    check(isinstance(facts, dict), "--facts", text, "a JSON object")
    return facts


def _value(text: str) -> Any:
    """A fact from the command line: a number, true, false or null, else text."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
