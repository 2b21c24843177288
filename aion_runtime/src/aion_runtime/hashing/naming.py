"""Names in code: what a scope binds, and which names a piece of code takes from outside."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import attrs

__all__ = [
    "STAR",
    "Binding",
    "Function",
    "ImportedName",
    "Names",
    "Reference",
    "bound_names",
    "functions_in",
    "references",
]

STAR = "*"
"""Under this name a scope keeps its ``from m import *``."""


@attrs.frozen
class ImportedName:
    """An import that binds a name.

    Attributes:
        level: how many dots the module was written with.
        module: dotted name of the module, without those dots.
        name: what is taken out of it; None for the module itself.
    """

    level: int
    module: str
    name: str | None


Binding: TypeAlias = ast.AST | ImportedName
"""The statement that gives a name its value."""

Names: TypeAlias = Mapping[str, Sequence[Binding]]
"""All statements of one scope that bind a name, in the order of the source."""


Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@attrs.frozen
class Reference:
    """A name that comes from outside, with the attributes taken of it: ``helpers.f``.

    Attributes:
        imported: where it comes from, when the code that uses it also imports it.
    """

    chain: tuple[str, ...]
    imported: ImportedName | None


# In a scope: None for a name that is simply its own.
_Env: TypeAlias = Mapping[str, ImportedName | None]

_Comprehension: TypeAlias = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def bound_names(body: Sequence[ast.AST]) -> dict[str, list[Binding]]:
    """What the statements of a module, class or function bind in its own scope."""
    found: dict[str, list[Binding]] = {}

    def add(name: str | None, binding: Binding) -> None:
        known = found.setdefault(name, []) if name is not None else []
        if binding not in known:
            known.append(binding)

    for node, statement in _own_nodes(body):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                add(node.name, node)
            case ast.Import(names=aliases):
                for alias in aliases:
                    top = alias.name.partition(".")[0]
                    module = alias.name if alias.asname else top
                    add(alias.asname or top, ImportedName(0, module, None))
            case ast.ImportFrom(module=module_or_none, names=aliases, level=level):
                module = module_or_none or ""
                for alias in aliases:
                    name = None if alias.name == STAR else alias.name
                    add(alias.asname or alias.name, ImportedName(level, module, name))
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                add(name, statement)
            case ast.NamedExpr(target=ast.Name(id=name)):
                add(name, statement)
            case ast.ExceptHandler(name=name) | ast.MatchAs(name=name) | ast.MatchStar(name=name):
                add(name, statement)
            case ast.MatchMapping(rest=name):
                add(name, statement)
    return found


def functions_in(tree: ast.Module) -> dict[str, list[tuple[Function, tuple[Function, ...]]]]:
    """All functions of a module by qualified name, each with the functions around it."""
    found: dict[str, list[tuple[Function, tuple[Function, ...]]]] = {}
    todo: list[tuple[ast.AST, str, tuple[Function, ...]]] = [(tree, "", ())]
    while todo:
        node, prefix, around = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            name = prefix + node.name
            found.setdefault(name, []).append((node, around))
            prefix, around = f"{name}.<locals>.", (*around, node)
        elif isinstance(node, ast.ClassDef):
            prefix = f"{prefix}{node.name}."
        todo.extend(
            (part, prefix, around)
            for part in reversed(list(ast.iter_child_nodes(node)))
            if not isinstance(part, ast.expr)
        )
    return found


def references(definition: ast.AST) -> Iterator[Reference]:
    """The names that a definition takes from outside, in the order of the source, with repeats.

    Names inside annotations that are written as text count as names.
    """
    # Each entry: the node; what is bound where it stands; what is bound for functions inside it
    # (they do not see the names of a class); whether it is an annotation.
    todo: list[tuple[ast.AST, _Env, _Env, bool]] = [(definition, {}, {}, False)]
    while todo:
        node, here, inside, annotation = todo.pop()
        parts: list[tuple[ast.AST, _Env, _Env, bool]] = []
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                parts = _function_parts(node, here, inside)
            case ast.ClassDef():
                own = {**inside, **_local(node.body)}
                parts = [
                    (part, own, inside, False)
                    if isinstance(part, ast.stmt)
                    else (part, here, inside, False)
                    for part in ast.iter_child_nodes(node)
                ]
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                targets = dict.fromkeys(_targets(node))
                here, inside = {**here, **targets}, {**inside, **targets}
                parts = [(part, here, inside, False) for part in ast.iter_child_nodes(node)]
            case ast.AnnAssign():
                parts = [
                    (part, here, inside, part is node.annotation)
                    for part in ast.iter_child_nodes(node)
                ]
            case ast.Constant(value=str(text)) if annotation:
                parts = [(part, here, inside, True) for part in _parsed(text)]
            case ast.Global(names=names):
                yield from (Reference((name,), None) for name in names)
            case ast.Name(id=name, ctx=ast.Load()):
                if here.get(name, _OUTSIDE) is not None:
                    yield Reference((name,), here.get(name))
            case ast.Attribute():
                chain, base = _chain(node)
                if not isinstance(base, ast.Name):
                    parts = [(base, here, inside, annotation)]
                elif here.get(base.id, _OUTSIDE) is not None:
                    yield Reference(chain, here.get(base.id))
            case _:
                parts = [(part, here, inside, annotation) for part in ast.iter_child_nodes(node)]
        todo.extend(reversed(parts))


_OUTSIDE = ImportedName(0, "", None)


def _function_parts(
    node: Function | ast.Lambda, here: _Env, inside: _Env
) -> list[tuple[ast.AST, _Env, _Env, bool]]:
    """Defaults, annotations and decorators belong to the scope around a function."""
    arguments = node.args
    parameters = (
        *arguments.posonlyargs,
        *arguments.args,
        *filter(None, (arguments.vararg,)),
        *arguments.kwonlyargs,
        *filter(None, (arguments.kwarg,)),
    )
    body: Sequence[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else node.body
    generic = getattr(node, "type_params", [])
    generic_names = dict.fromkeys(each.name for each in generic)
    own: dict[str, ImportedName | None] = {
        **inside,
        **generic_names,
        **dict.fromkeys(each.arg for each in parameters),
        **_local(body),
    }
    for each, _ in _own_nodes(body):
        if isinstance(each, ast.Global):
            for name in each.names:
                own.pop(name, None)
    around = {**here, **generic_names}
    annotations = [each.annotation for each in parameters if each.annotation is not None]
    outer: list[ast.AST] = [
        *([] if isinstance(node, ast.Lambda) else node.decorator_list),
        *generic,
        *arguments.defaults,
        *(default for default in arguments.kw_defaults if default is not None),
    ]
    if not isinstance(node, ast.Lambda) and node.returns is not None:
        annotations.append(node.returns)
    return [
        *((part, around, inside, False) for part in outer),
        *((part, around, inside, True) for part in annotations),
        *((part, own, own, False) for part in body),
    ]


def _local(body: Sequence[ast.AST]) -> dict[str, ImportedName | None]:
    """What a scope binds, each name with its import if it has one."""
    declared_elsewhere = {
        name
        for node, _ in _own_nodes(body)
        if isinstance(node, ast.Global | ast.Nonlocal)
        for name in node.names
    }
    return {
        name: next((each for each in bindings if isinstance(each, ImportedName)), None)
        for name, bindings in bound_names(body).items()
        if name not in declared_elsewhere
    }


def _own_nodes(body: Sequence[ast.AST]) -> Iterator[tuple[ast.AST, ast.AST]]:
    """The nodes of one scope, each with its statement; scopes inside only as far as they bind."""
    todo = [(node, node) for node in reversed(body)]
    while todo:
        node, statement = todo.pop()
        if isinstance(node, ast.stmt):
            statement = node
        yield node, statement
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.Lambda():
                continue
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                # Only `:=` binds beyond a comprehension.
                for each in ast.walk(node):
                    if isinstance(each, ast.NamedExpr):
                        yield each, statement
                continue
        todo.extend((part, statement) for part in reversed(list(ast.iter_child_nodes(node))))


def _targets(node: _Comprehension) -> Iterator[str]:
    for generator in node.generators:
        for each in ast.walk(generator.target):
            if isinstance(each, ast.Name):
                yield each.id


def _chain(node: ast.Attribute) -> tuple[tuple[str, ...], ast.expr]:
    names: list[str] = []
    base: ast.expr = node
    while isinstance(base, ast.Attribute):
        names.append(base.attr)
        base = base.value
    if isinstance(base, ast.Name):
        names.append(base.id)
    return tuple(reversed(names)), base


def _parsed(annotation: str) -> list[ast.AST]:
    try:
        return [ast.parse(annotation, mode="eval").body]
    except (SyntaxError, ValueError):
        return []
