"""Packages as source files: which files belong to a workflow's package, and what they import.

Found from the files alone, so that it makes no difference which modules happen to be loaded, or
under which name. Only what a file *holds* is looked up among the loaded modules.
"""

from __future__ import annotations

import ast
import sys
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import ModuleType

import attrs

from aion_runtime.hashing.naming import Function, ImportedName, Names, bound_names, functions_in

__all__ = ["OwnPackage", "SourceFile", "SourceReader", "module_values"]


@attrs.frozen(eq=False)
class SourceFile:
    """A module as it is written; a directory without ``__init__.py`` is an empty one.

    Attributes:
        names: what it binds.
        values: what it holds where it is loaded; empty where it is not.
    """

    path: Path
    tree: ast.Module
    names: Names
    values: Mapping[str, object]

    @cached_property
    def functions(self) -> Mapping[str, Sequence[tuple[Function, tuple[Function, ...]]]]:
        """Its functions by qualified name, each with the functions around it."""
        return functions_in(self.tree)


class SourceReader:
    """Reads source files, each once."""

    def __init__(self) -> None:
        self._files: dict[Path, SourceFile | None] = {}

    def read(self, path: Path, values: Mapping[str, object] | None = None) -> SourceFile | None:
        """The module of a file or directory; None when it cannot be read as Python.

        Args:
            values: what it holds, for a module that need not be among the loaded ones.
        """
        if path not in self._files:
            self._files[path] = _read(path)
        file = self._files[path]
        if file is not None and values and not file.values:
            file = self._files[path] = attrs.evolve(file, values=values)
        return file


class OwnPackage:
    """The top-level package that a file belongs to, or the file alone when it is in none.

    Args:
        path: of the file, resolved.
        module: name that the file was imported under, ``__main__`` for a script.
    """

    def __init__(self, reader: SourceReader, path: Path, module: str) -> None:
        self._reader = reader
        self._path = path
        if module == "__main__":
            spec = getattr(sys.modules.get("__main__"), "__spec__", None)
            module = path.stem if spec is None else spec.name
        self._root = _root(path, module)
        self._absolute: dict[str, SourceFile | None] = {}

    def owns(self, path: Path) -> bool:
        """Whether a file is part of the package."""
        return path == self._path or self._root in path.parents

    def imported(self, file: SourceFile, name: ImportedName) -> SourceFile | None:
        """The module that an import in a file names; None when it is not of this package."""
        if name.level:
            base = file.path if file.path.is_dir() else file.path.parent
            for _ in range(name.level - 1):
                base = base.parent
            path = _module_path(base, name.module)
            return self._reader.read(path) if path is not None and self.owns(path) else None
        if name.module not in self._absolute:
            path = self._absolute_path(name.module)
            self._absolute[name.module] = None if path is None else self._reader.read(path)
        return self._absolute[name.module]

    def submodule(self, file: SourceFile, name: str) -> SourceFile | None:
        """The module of that name in a package."""
        if file.path.is_dir():
            path = _module_path(file.path, name)
        elif file.path.name == "__init__.py":
            path = _module_path(file.path.parent, name)
        else:
            return None
        return None if path is None else self._reader.read(path)

    def _absolute_path(self, module: str) -> Path | None:
        top, _, rest = module.partition(".")
        if self._root == self._path:
            if module == self._path.stem:
                return self._path
        elif top == self._root.name:
            path = _module_path(self._root, rest)
            if path is not None:
                return path
        # A script in a package imports its neighbours as if they were top-level modules; a
        # package without `__init__.py` shows only in the names of its modules.
        path = _loaded_path(module)
        if path is None:
            return None
        return path if self.owns(path) or _root(path, module) in self._path.parents else None


def _root(path: Path, module: str) -> Path:
    """Directory of the top-level package that holds a file; the file itself without one."""
    root = path
    directory = path.parent
    while (directory / "__init__.py").is_file():
        root = directory
        directory = directory.parent
    parts = module.split(".")
    depth = len(parts) - (path.name != "__init__.py")
    if 0 < depth <= len(path.parents):
        named = path.parents[depth - 1]
        if named.name == parts[0] and named in root.parents:
            root = named
    return root


def _module_path(directory: Path, dotted: str) -> Path | None:
    path = directory.joinpath(*dotted.split(".")) if dotted else directory
    for candidate in (path / "__init__.py", path.with_name(f"{path.name}.py")):
        if candidate.is_file():
            return candidate
    return path if path.is_dir() else None


def _loaded_path(module: str) -> Path | None:
    file = module_values(sys.modules.get(module)).get("__file__")
    return Path(file).resolve() if isinstance(file, str) and file.endswith(".py") else None


def module_values(module: object) -> Mapping[str, object]:
    """What a module holds; nothing when it is none."""
    if not isinstance(module, ModuleType):
        return {}
    # Past its own `__getattribute__`: asked for anything, a lazy module would load itself.
    values: dict[str, object] = ModuleType.__getattribute__(module, "__dict__")
    return values


def _read(path: Path) -> SourceFile | None:
    if path.is_dir():
        return SourceFile(path, ast.Module([], []), {}, {})
    try:
        with warnings.catch_warnings():
            # What Python has to say about the code it has said when it imported it.
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    return SourceFile(path, tree, bound_names(tree.body), _values(path))


def _values(path: Path) -> Mapping[str, object]:
    for module in list(sys.modules.values()):
        values = module_values(module)
        file = values.get("__file__")
        if (
            isinstance(file, str)
            # Most are told apart by this; resolving a path asks the file system.
            and file.endswith(path.name)
            and Path(file).resolve() == path
        ):
            return values
    return {}
