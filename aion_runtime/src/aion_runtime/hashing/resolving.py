"""From a name in code to what it stands for: a piece of the package's own code, or only a name."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, TypeAlias

import attrs

from aion_core.authoring.activities import Activity
from aion_core.authoring.workflows import Workflow
from aion_runtime.hashing.naming import (
    STAR,
    Binding,
    Function,
    ImportedName,
    Names,
    Reference,
    bound_names,
)
from aion_runtime.hashing.packages import OwnPackage, SourceFile, SourceReader, module_values

__all__ = ["Definition", "Named", "Resolver", "Target", "located"]


@attrs.frozen(eq=False)
class EnclosingFunction:
    """A function around a definition.

    Attributes:
        names: what its body binds; its parameters are bound to nothing that can be read.
        values: what the definition holds of it.
        outer: the function around this one.
    """

    names: Names
    values: Mapping[str, object]
    outer: EnclosingFunction | None


@attrs.frozen(eq=False)
class Definition:
    """A statement that gives a name its value: ``def``, ``class``, an assignment.

    Attributes:
        scope: the function it stands in; None at the top of a module.
    """

    file: SourceFile
    node: ast.AST
    scope: EnclosingFunction | None


@attrs.frozen
class Named:
    """Something that counts by its name only.

    Attributes:
        text: what it is and how it is called: ``activity charge``, ``import decimal.Decimal``.
        value: the activity or workflow itself, where its module is loaded.
    """

    text: str
    value: Activity[..., Any] | Workflow[..., Any] | None = None


Target: TypeAlias = Definition | Named

_Visited: TypeAlias = set[tuple[Path, str]]


class Resolver:
    """Resolves the names of one package, without importing or running anything."""

    def __init__(self, reader: SourceReader, package: OwnPackage) -> None:
        self._reader = reader
        self._package = package

    def resolve(self, definition: Definition, reference: Reference) -> Iterable[Target]:
        """What a name in a definition stands for: several where it is bound in several places.

        Nothing for what is no more than a name: builtins, whole modules, parameters.
        """
        name = reference.chain[0]
        file = definition.file
        if reference.imported is not None:
            return self._imported(file, reference.imported, reference.chain[1:], set())
        scope = definition.scope
        while scope is not None:
            if name in scope.names:
                return self._enclosed(file, scope, reference.chain)
            scope = scope.outer
        return self._in_module(file, reference.chain, set())

    def _in_module(
        self, file: SourceFile, chain: tuple[str, ...], visited: _Visited
    ) -> list[Target]:
        # Modules may import one name from each other in a circle.
        if not chain or (file.path, chain[0]) in visited:
            return []
        visited.add((file.path, chain[0]))
        recorded = _recorded(file.values, chain)
        if recorded is not None:
            return [recorded]
        if bindings := file.names.get(chain[0]):
            return [
                target
                for binding in bindings
                for target in self._bound(file, None, binding, chain, visited)
            ]
        module = self._package.submodule(file, chain[0])
        if module is not None:
            return self._in_module(module, chain[1:], visited)
        for star in file.names.get(STAR, ()):
            assert isinstance(star, ImportedName)
            module = self._package.imported(file, star)
            found = [] if module is None else self._in_module(module, chain, visited)
            if found:
                return found
        return []

    def _enclosed(
        self, file: SourceFile, scope: EnclosingFunction, chain: tuple[str, ...]
    ) -> list[Target]:
        recorded = _recorded(scope.values, chain)
        if recorded is not None:
            return [recorded]
        value = scope.values.get(chain[0])
        if bindings := scope.names[chain[0]]:
            inner = attrs.evolve(scope, values={**scope.values, **_closure(value)})
            return [
                target
                for binding in bindings
                for target in self._bound(file, inner, binding, chain, set())
            ]
        if _is_literal(value):
            return [Named(f"value {value!a}")] if chain[0] in scope.values else []
        if isinstance(value, FunctionType):
            path = source_path(value)
            if path is not None and self._package.owns(path):
                definition = located(self._reader, value)
                return [] if definition is None else [definition]
        return []

    def _bound(
        self,
        file: SourceFile,
        scope: EnclosingFunction | None,
        binding: Binding,
        chain: tuple[str, ...],
        visited: _Visited,
    ) -> list[Target]:
        if isinstance(binding, ImportedName):
            return self._imported(file, binding, chain[1:], visited)
        # Not loaded, as behind TYPE_CHECKING or in a function that imports: only its text tells.
        declared = None if file.values else _declared(binding)
        return [declared or Definition(file, binding, scope)]

    def _imported(
        self, file: SourceFile, name: ImportedName, rest: tuple[str, ...], visited: _Visited
    ) -> list[Target]:
        chain = rest if name.name is None else (name.name, *rest)
        module = self._package.imported(file, name)
        if module is not None:
            return self._in_module(module, chain, visited)
        if chain:
            recorded = _recorded(module_values(_loaded(name)), chain)
            if recorded is not None:
                return [recorded]
        # A relative module is the package's own business: how far up it is does not count.
        parts = ("" if name.level else name.module, name.name or "")
        return [Named("import " + ".".join(filter(None, parts)))]


def located(reader: SourceReader, fn: FunctionType) -> Definition | None:
    """Where a function is written; None when its source cannot be read."""
    path = source_path(fn)
    file = None if path is None else reader.read(path, fn.__globals__)
    if file is None:
        return None
    code = fn.__code__
    candidates = file.functions.get(code.co_qualname)
    if not candidates:
        return None
    by_line = [each for each in candidates if _first_line(each[0]) == code.co_firstlineno]
    node, around = (by_line or candidates)[-1]
    scope = None
    values = _closure(fn)
    for function in around:
        arguments = ast.walk(function.args)
        parameters = [each.arg for each in arguments if isinstance(each, ast.arg)]
        names: Names = {**dict.fromkeys(parameters, ()), **bound_names(function.body)}
        scope = EnclosingFunction(names, values, scope)
    return Definition(file, node, scope)


def source_path(fn: FunctionType) -> Path | None:
    """The file that a function was compiled from, when there still is one."""
    path = Path(fn.__code__.co_filename)
    return path.resolve() if path.is_file() else None


def _first_line(node: Function) -> int:
    return min(each.lineno for each in (node, *node.decorator_list))


def _closure(fn: object) -> Mapping[str, object]:
    if not isinstance(fn, FunctionType):
        return {}
    inner = inspect.unwrap(fn)
    if not isinstance(inner, FunctionType):
        return {}
    values = {}
    for name, cell in zip(inner.__code__.co_freevars, inner.__closure__ or (), strict=True):
        try:
            values[name] = cell.cell_contents
        except ValueError:
            # Not assigned yet.
            continue
    return values


def _recorded(values: Mapping[str, object], chain: tuple[str, ...]) -> Named | None:
    """The activity or workflow that a chain of attributes leads to, through modules only."""
    value = values.get(chain[0])
    for name in chain[1:]:
        if not isinstance(value, ModuleType):
            break
        value = module_values(value).get(name)
    if isinstance(value, Activity):
        return Named(f"activity {value.name}", value)
    if isinstance(value, Workflow):
        return Named(f"workflow {value.name}", value)
    return None


def _declared(node: ast.AST) -> Named | None:
    """The same, told from the decorators of a function in a module that is not loaded."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return None
    for decorator in node.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else None
        match decorator if call is None else call.func:
            case ast.Name(id="activity" | "workflow" as kind):
                pass
            case ast.Attribute(attr="activity" | "workflow" as kind):
                pass
            case _:
                continue
        name = node.name
        for keyword in () if call is None else call.keywords:
            if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
                name = str(keyword.value.value)
        return Named(f"{kind} {name}")
    return None


def _loaded(name: ImportedName) -> object:
    return None if name.level else sys.modules.get(name.module)


def _is_literal(value: object) -> bool:
    if type(value) is tuple:
        return all(map(_is_literal, value))
    return value is None or type(value) in (bool, int, float, complex, str, bytes)
