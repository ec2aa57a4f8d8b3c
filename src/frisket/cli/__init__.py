"""The command line: `frisket VERB`, one file per verb."""

from __future__ import annotations

import importlib
import io
import os
import sys
from contextlib import suppress
from difflib import get_close_matches

VERBS = {
    "run": "train, sample, edit, evaluate and report one recipe, end to end",
    "train": "train a recipe, on its own data or on yours",
    "sample": "make samples with a trained model",
    "edit": "repaint a masked part of an image",
    "adapt": "teach a trained model something more, with few weights",
    "evaluate": "score a trained model, with intervals and floors",
    "shrink": "make a smaller model of a trained one: prune, recover, compare",
    "compare": "several recipes or variants at an equal budget, with intervals",
    "verify": "measure a recipe's claim and store the evidence",
    "cite": "print the BibTeX of the parts a run used",
    "new": "write a recipe file to start from",
    "papers": "list the implemented papers and what is shown of each",
    "import": "turn an official checkpoint into a frisket model",
    "doctor": "show versions, devices, threads and what is missing",
}


def main(argv: list[str] | None = None) -> int:
    """Entry point. Returns the exit code: 0, 2 for bad input, which is told in one line, 130 when stopped by hand."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _overview(argv) if not argv or argv[0].startswith("-") else _run(argv[0], argv[1:])
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader of our output (head, less) has left
        with suppress(io.UnsupportedOperation):  # an output that is no file has nothing left to flush
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _overview(argv: list[str]) -> int:
    if argv == ["--version"]:
        from frisket import __version__

        print(__version__)
        return 0
    if argv and argv[0] not in ("-h", "--help"):
        print(f"frisket: unknown option {argv[0]!r}; accepted: VERB, --help, --version", file=sys.stderr)
        return 2
    print(overview())
    return 0


def _run(verb: str, rest: list[str]) -> int:
    if verb not in VERBS:
        near = get_close_matches(verb, VERBS, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        print(f"frisket: unknown verb {verb!r}{hint} (accepted: {', '.join(VERBS)})", file=sys.stderr)
        return 2
    from frisket.core.errors import FrisketError

    try:
        return importlib.import_module(f"frisket.cli.{verb}_verb").main(rest) or 0
    except SystemExit as stop:  # help was printed, or a run was told to end and has saved
        return int(stop.code or 0)
    except BrokenPipeError:
        raise
    except (FrisketError, OSError) as error:  # OSError: a file that cannot be read or written
        print(f"frisket {verb}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"frisket {verb}: stopped", file=sys.stderr)
        return 130


def overview() -> str:
    """What `frisket --help` prints."""
    lines = ["frisket VERB ...: masked and diffusion transformers; everything is a mask.", ""]
    lines += [f"  {verb:<10}{what}" for verb, what in VERBS.items()]
    return "\n".join([*lines, "", "frisket VERB --help shows every option of a verb with its default."])
