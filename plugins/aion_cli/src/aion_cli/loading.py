"""Loading an application's code: a file or a dotted name, as ``python`` itself would find it."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import sysconfig
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import click

import aion_cli
import aion_core
import aion_runtime
from aion_core.authoring.workflows import Workflow
from aion_core.errors import ConfigError
from aion_core.suggestions import did_you_mean

__all__ = ["load_module", "load_modules", "load_workflow", "workflows_in"]

_NOT_THEIRS = (
    "<",  # code without a file, as attrs makes it
    *(f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "purelib", "platlib")),
    *(f"{package.__path__[0]}{os.sep}" for package in (aion_core, aion_runtime, aion_cli)),
)
"""Where the files begin in which a user who reads of an error has nothing to mend."""


def load_modules(targets: Sequence[str]) -> list[ModuleType]:
    """Import several; see `load_module`."""
    return [load_module(target) for target in targets]


def load_module(target: str) -> ModuleType:
    """Import a file, or a module by its dotted name. The current directory is searched first.

    Raises:
        click.UsageError: there is none.
        ConfigError: it fails when it is imported.
    """
    _search(Path.cwd())
    path = Path(target)
    if target.endswith(".py") or os.sep in target:
        if not path.is_file():
            raise click.UsageError(f"there is no file {target!r}; name a Python file or a module")
        return _load_file(path.resolve())
    try:
        return _imported(target)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{target}.".startswith(f"{error.name}."):
            raise _failed(target, error) from error
        near = sorted(each.stem for each in Path.cwd().glob("*.py"))
        otherwise = "name a Python file, or a module that can be imported from this directory"
        raise click.UsageError(
            f"there is no module {target!r}; {did_you_mean(target, near, otherwise=otherwise)}"
        ) from error


def load_workflow(target: str) -> Workflow[..., Any]:
    """The workflow of ``FILE_OR_MODULE:workflow``, by the name in the code or its type.

    Without a name, the only one of the module.

    Raises:
        click.UsageError: there is no such module or workflow.
        ConfigError: the module fails when it is imported.
    """
    place, colon, name = target.rpartition(":")
    module = load_module(place if colon else target)
    found = workflows_in(module)
    known = {each.name: each for each in found} | {
        key: value for key, value in vars(module).items() if isinstance(value, Workflow)
    }
    if colon and name in known:
        return known[name]
    if not colon and len(found) == 1:
        return found[0]
    names = ", ".join(sorted({each.name for each in found})) or "none"
    what = f"no workflow {name!r}" if colon else "not one workflow only"
    otherwise = f"write {place if colon else target}:NAME"
    raise click.UsageError(
        f"{place if colon else target!r} holds {what} (it holds: {names}); "
        + did_you_mean(name, known, otherwise=otherwise)
    )


def workflows_in(module: ModuleType) -> list[Workflow[..., Any]]:
    """The workflows of a module, each once, in order."""
    return list(dict.fromkeys(each for each in vars(module).values() if isinstance(each, Workflow)))


def _load_file(path: Path) -> ModuleType:
    name = path.stem
    loaded = sys.modules.get(name)
    if loaded is not None:
        if getattr(loaded, "__file__", None) == str(path):
            return loaded
        raise click.UsageError(
            f"{path.name} has the name of a module that Python has loaded already; rename the file"
        )
    _search(path.parent)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise click.UsageError(f"{str(path)!r} is no Python file; name one that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _failed(path.name, error) from error
    return module


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise
    except (Exception, SystemExit) as error:
        raise _failed(name, error) from error


def _failed(what: str, error: BaseException) -> ConfigError:
    frames = traceback.extract_tb(error.__traceback__)
    below = [frame for frame in frames if "importlib" not in frame.filename][1:]
    own = [frame for frame in below if not frame.filename.startswith(_NOT_THEIRS)] or below
    place = f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
    return ConfigError(
        f"importing {what!r} failed: {type(error).__name__}: {error}{place}; mend it there"
    )


def _search(directory: Path) -> None:
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))
