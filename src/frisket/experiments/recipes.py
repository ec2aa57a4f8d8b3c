"""Finding recipes: the shipped ones by name, a stranger's by path. Importing a recipe trains nothing."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from frisket.core.errors import FrisketError, unknown
from frisket.experiments.experiment import Experiment, check_size
from frisket.experiments.paper import Count, Paper, Parity


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A recipe module, read: PAPER, `experiment(size)`, and its optional `added(experiment)`, COUNTS, PARITY and
    VARIANTS."""

    name: str
    module: ModuleType

    @property
    def paper(self) -> Paper:
        return self.module.PAPER

    @property
    def counts(self) -> tuple[Count, ...]:
        return getattr(self.module, "COUNTS", ())

    @property
    def parity(self) -> Parity | None:
        return getattr(self.module, "PARITY", None)

    def experiment(self, size: str = "small") -> Experiment:
        check_size(size)
        return self.module.experiment(size)

    def added(self, experiment: Experiment) -> Experiment:
        """The recipe's method on another experiment. Raises `FrisketError` where the recipe does not say how, or the
        experiment cannot carry it."""
        if not hasattr(self.module, "added"):
            raise FrisketError(f"recipe {self.name} defines no added(experiment), so it cannot be put on another one")
        return self.module.added(experiment)


def recipe_names() -> list[str]:
    """Names of the shipped recipes, sorted."""
    package = importlib.import_module("frisket.recipes")
    return sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(package.__path__))


def load_recipe(name: str) -> Recipe:
    """A shipped recipe by name ("dit"), or a file's by path ("./mine.py"; its code runs, as any script you start).

    Raises `FrisketError` with the nearest name, or what the file lacks.
    """
    if name.endswith(".py"):
        path = Path(name)
        if not path.is_file():
            raise FrisketError(f"recipe file {name} does not exist")
        module, label = run_file(path), path.stem.replace("_", "-")
    else:
        if name not in recipe_names():
            raise unknown("recipe", name, [*recipe_names(), "PATH.py"])
        module, label = importlib.import_module(f"frisket.recipes.{name.replace('-', '_')}"), name
    for needed in ("PAPER", "experiment"):
        if not hasattr(module, needed):
            raise FrisketError(f"recipe {name} defines no {needed}; it must define PAPER and experiment(size)")
    return Recipe(name=label, module=module)


def run_file(path: Path) -> ModuleType:
    """The module of a file, under a name of its own in `sys.modules`, where its dataclasses look their types up."""
    name = f"frisket_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise FrisketError(f"recipe file {path}, line {error.lineno}: {error.msg}") from None
    return module
