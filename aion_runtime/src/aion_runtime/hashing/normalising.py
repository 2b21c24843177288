"""The normal form of a piece of code: a text that only changes when the code may behave otherwise.

It is part of what ``h1:`` hashes mean: a change here needs another prefix there. ``ast.dump`` will
not do, because what it prints and the trees it prints differ between Python versions.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

__all__ = ["normal_form"]

# `ctx` follows from the place; `kind` is the `u` of u"text"; the rest is for type checkers.
_SILENT = frozenset({"ctx", "kind", "type_comment", "type_ignores"})


def normal_form(node: ast.AST) -> str:
    """Write a node as ASCII text, the same on every Python that can parse it.

    Left out: positions, docstrings and other statements that are a mere constant, ``pass``, and
    imports (what is imported counts where it is used). Fields that are empty are left out too, so
    that a field which a later Python adds changes nothing where it is not used.
    """
    written: list[str] = []
    # A stack of our own: code may be nested deeper than Python's recursion goes.
    todo: list[ast.AST | str] = [node]
    while todo:
        each = todo.pop()
        if isinstance(each, str):
            written.append(each)
        else:
            todo.extend(reversed(_unfolded(each)))
    return "".join(written)


def _unfolded(node: ast.AST) -> list[ast.AST | str]:
    """One level of a node: text, and the nodes inside."""
    if isinstance(node, ast.Constant):
        return [f"Constant({_text(node.value)})"]
    out: list[ast.AST | str] = [f"{type(node).__name__}("]
    for field in sorted(node._fields):
        if field in _SILENT:
            continue
        value = getattr(node, field, None)
        if isinstance(value, list):
            value = _items(node, value)
        if value is None or value == [] or _is_empty_format(field, value):
            continue
        out.append(f"{field}=")
        if isinstance(value, list):
            out.append("[")
            for item in value:
                out += (item if isinstance(item, ast.AST) else _text(item), ",")
            out.append("]")
        else:
            out.append(value if isinstance(value, ast.AST) else _text(value))
        out.append(";")
    out.append(")")
    return out


def _items(node: ast.AST, values: list[object]) -> list[object]:
    if isinstance(node, ast.JoinedStr):
        return list(_joined(values))
    return [each for each in values if not _is_idle(each)]


def _is_idle(item: object) -> bool:
    if isinstance(item, ast.Expr):
        return isinstance(item.value, ast.Constant)
    return isinstance(item, ast.Pass | ast.Import | ast.ImportFrom)


def _is_empty_format(field: str, value: object) -> bool:
    return field == "format_spec" and isinstance(value, ast.JoinedStr) and not _joined(value.values)


def _joined(values: Iterable[object]) -> list[ast.AST]:
    """The parts of an f-string. Pythons differ in how they cut its literal text into pieces."""
    parts: list[ast.AST] = []
    for value in values:
        for part in _joined(value.values) if isinstance(value, ast.JoinedStr) else [value]:
            assert isinstance(part, ast.AST)
            if not isinstance(part, ast.Constant):
                parts.append(part)
            elif parts and isinstance(before := parts[-1], ast.Constant):
                parts[-1] = ast.Constant(f"{before.value!s}{part.value!s}")
            elif part.value:
                parts.append(part)
    return parts


def _text(value: object) -> str:
    # Hexadecimal, because Python refuses to write a very long integer in decimal; ASCII, because
    # which characters `repr` escapes depends on the Unicode tables of the Python version.
    if isinstance(value, int) and not isinstance(value, bool):
        return hex(value)
    return ascii(value)
