"""README's two commands on a machine that has nothing: a new clone, a new environment, no network for models.

    python -m benchmarks.fresh_machine --log docs/fresh-machine.log --out benchmarks/results/fresh_machine.json

The commands see an empty home, a bare path and none of this process's variables but pip's own; HF_HUB_OFFLINE=1. The
demo's environment has the core alone, without any extra. What they print is the log, word for word.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from frisket.core.files import write_json

ROOT = Path(__file__).parent.parent
COMMANDS = ("make demo", "make test")


def environment(home: Path) -> dict[str, str]:
    """What the commands see of this machine: a path with the interpreter in it, and where pip finds packages."""
    kept = {k: v for k, v in os.environ.items() if k.startswith("PIP_") or k in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")}
    for file in (Path.home() / ".config/pip/pip.conf", Path.home() / ".pip/pip.conf"):
        if file.is_file():
            kept.setdefault("PIP_CONFIG_FILE", str(file))
    path = f"{Path(sys.base_prefix) / 'bin'}:/usr/bin:/bin"
    return kept | {"HOME": str(home), "PATH": path, "HF_HUB_OFFLINE": "1", "LANG": "C.UTF-8"}


def run(command: str, folder: Path, variables: dict[str, str]) -> tuple[str, float, int]:
    """What a command prints, its seconds and its exit code."""
    began = time.monotonic()
    done = subprocess.run(
        command, shell=True, cwd=folder, env=variables, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    return done.stdout, time.monotonic() - began, done.returncode


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--log", type=Path, help="where the commands' words go")
    options.add_argument("--out", type=Path, help="where the result goes, as JSON")
    options.add_argument("--command", action="append", help="default: README's two")
    args = options.parse_args(argv)
    result: dict[str, Any] = {
        "what": "seconds and exit codes of README's commands in a new clone with a new environment",
        "machine": f"{platform.machine()}, {platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "date": datetime.now(UTC).date().isoformat(), "commands": [],
    }  # fmt: skip
    words = []
    with tempfile.TemporaryDirectory() as place:
        home, clone = Path(place) / "home", Path(place) / "frisket"
        home.mkdir()
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        for command in args.command or COMMANDS:
            said, seconds, code = run(command, clone, environment(home))
            words.append(f"$ {command}\n{said.replace(place, '/tmp/new')}")
            result["commands"].append({"command": command, "seconds": round(seconds, 1), "exit_code": code})
            print(f"{command}: exit code {code} after {seconds:.0f} s")
    if args.log:
        args.log.write_text("\n".join(words))
    if args.out:
        write_json(args.out, result)
    print(json.dumps(result["commands"]))
    return result


if __name__ == "__main__":
    main()
