"""The version of a workflow: a hash of the code it is made of.

What counts: the workflow function and, transitively, the functions, classes and assignments of its
own top-level package that it names statically; of activities and child workflows, and of all that
belongs to somebody else, the name only. What does not: comments, layout, docstrings, the module
that something stands in, the Python version; of the workflow itself, its function's name and the
arguments of ``@workflow``, which say how it is called and reached, not what it does.

A hash that differs says "maybe changed"; only a replay tells.
"""

from __future__ import annotations

import ast
import copy
import functools
import hashlib
import inspect
import logging
import re
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

import attrs

from aion_core.authoring.activities import Activity
from aion_core.authoring.workflows import Workflow, workflow
from aion_core.events import UNVERSIONED
from aion_runtime.hashing.naming import references
from aion_runtime.hashing.normalising import normal_form
from aion_runtime.hashing.packages import OwnPackage, SourceReader
from aion_runtime.hashing.resolving import Definition, Named, Resolver, located

__all__ = ["WorkflowCode", "content_hash", "parse_version", "workflow_code"]

logger = logging.getLogger("aion_runtime")

ALGORITHM = "h1"
"""Goes up with every change that gives the same code another hash."""


@attrs.frozen
class WorkflowCode:
    """What the source of a workflow says about it.

    Attributes:
        version: its content hash, or ``unversioned``.
        activities: those it names, in the order of the source.
        workflows: those it names, itself included where it does.
    """

    version: str
    activities: tuple[Activity[..., Any], ...]
    workflows: tuple[Workflow[..., Any], ...]


# Not state but a memo: code does not change while it is loaded, and reading it again would tell
# of a file that was edited meanwhile. It also keeps the warning to one for each definition.
_KNOWN: WeakKeyDictionary[Workflow[..., Any], WorkflowCode] = WeakKeyDictionary()


def content_hash(definition: Workflow[..., Any]) -> str:
    """The version of a workflow: ``h1:`` and 32 hexadecimal digits, or ``unversioned``.

    The latter, with a warning in the log, when there is no source file: in the REPL, with ``exec``,
    in a zip file, or where only ``.pyc`` files were deployed.

    Costs about 20 ms for each thousand lines of the files it has to read, once.
    """
    return workflow_code(definition, SourceReader()).version


def parse_version(text: str) -> str:
    """Check a recorded version, of this algorithm or of another one.

    Raises:
        ValueError: it is neither ``unversioned`` nor a hash.
    """
    if text != UNVERSIONED and re.fullmatch(r"h[1-9][0-9]*:[0-9a-f]{32}", text) is None:
        raise ValueError(
            f"{text!r} is no version of a workflow: it must be {UNVERSIONED!r}, "
            f"or {ALGORITHM}: and 32 hexadecimal digits"
        )
    return text


def workflow_code(definition: Workflow[..., Any], reader: SourceReader) -> WorkflowCode:
    """The version of a workflow, and what it names; remembered for each definition.

    Args:
        reader: shared between definitions, it reads each file only once.
    """
    known = _KNOWN.get(definition)
    if known is None:
        known = _KNOWN[definition] = _read(definition, reader)
    return known


def _read(definition: Workflow[..., Any], reader: SourceReader) -> WorkflowCode:
    fn = inspect.unwrap(definition.fn)
    root = located(reader, fn) if isinstance(fn, FunctionType) else None
    if root is None:
        logger.warning(
            "workflow %r has no source file that can be read, so its runs are recorded as %r and "
            "a change of its code cannot be noticed; define it in a module",
            definition.name,
            UNVERSIONED,
        )
        return WorkflowCode(UNVERSIONED, (), ())
    resolver = Resolver(reader, OwnPackage(reader, root.file.path, fn.__module__))
    return _walk(attrs.evolve(root, node=_anonymous(root.node, fn)), resolver)


def _walk(root: Definition, resolver: Resolver) -> WorkflowCode:
    """Hash all that can be reached, breadth first: its text, and what its names lead to.

    Definitions are numbered in the order in which the source names them, so that a circle of
    references ends and no module name is needed to tell two of them apart.
    """
    digest = hashlib.blake2b(digest_size=16)
    reached = [root]
    numbers = {root.node: 0}
    named: dict[Named, None] = {}
    for definition in reached:
        digest.update(normal_form(definition.node).encode())
        for reference in dict.fromkeys(references(definition.node)):
            for target in resolver.resolve(definition, reference):
                if isinstance(target, Definition):
                    if target.node not in numbers:
                        numbers[target.node] = len(reached)
                        reached.append(target)
                    text = str(numbers[target.node])
                else:
                    named[target] = None
                    text = ascii(target.text)
                digest.update(f"\n{'.'.join(reference.chain)!a} {text}".encode())
        digest.update(b"\n\n")
    values = dict.fromkeys(target.value for target in named)
    return WorkflowCode(
        f"{ALGORITHM}:{digest.hexdigest()}",
        tuple(each for each in values if isinstance(each, Activity)),
        tuple(each for each in values if isinstance(each, Workflow)),
    )


def _anonymous(node: ast.AST, fn: FunctionType) -> ast.AST:
    """The workflow function without its name and without ``@workflow(...)``."""
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    anonymous = copy.copy(node)
    anonymous.name = ""
    anonymous.decorator_list = [
        each for each in node.decorator_list if not _is_workflow_decorator(each, fn)
    ]
    return anonymous


def _is_workflow_decorator(decorator: ast.expr, fn: FunctionType) -> bool:
    expression = decorator.func if isinstance(decorator, ast.Call) else decorator
    attributes: list[str] = []
    while isinstance(expression, ast.Attribute):
        attributes.append(expression.attr)
        expression = expression.value
    if not isinstance(expression, ast.Name):
        return False
    value = fn.__globals__.get(expression.id)
    for name in reversed(attributes):
        value = getattr(value, name, None)
    return (value.func if isinstance(value, functools.partial) else value) is workflow
