"""The catalog: which workflow definitions an engine has, by type."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from aion_core.authoring.workflows import Workflow
from aion_core.errors import ConfigError, UnknownWorkflowTypeError, WorkflowUsageError
from aion_core.payloads import PayloadConverter

__all__ = ["WorkflowCatalog", "call_of"]


class WorkflowCatalog:
    """Definitions by workflow type.

    Args:
        given: definitions, or modules that hold some.

    Raises:
        ConfigError: something else was given, or two definitions have one name.
        TypeError: a type in a definition's signature cannot be stored.
    """

    def __init__(
        self, given: Iterable[Workflow[..., Any] | ModuleType], converter: PayloadConverter
    ) -> None:
        self._definitions: dict[str, Workflow[..., Any]] = {}
        for each in given:
            for definition in _definitions_in(each):
                self._add(definition)
                definition.signature.check_types(converter)

    def __call__(self, workflow_type: str) -> Workflow[..., Any]:
        """The definition of a type. Raises `UnknownWorkflowTypeError`."""
        definition = self._definitions.get(workflow_type)
        if definition is None:
            raise UnknownWorkflowTypeError(workflow_type, tuple(sorted(self._definitions)))
        return definition

    def __contains__(self, workflow_type: str) -> bool:
        return workflow_type in self._definitions

    def _add(self, definition: Workflow[..., Any]) -> None:
        other = self._definitions.setdefault(definition.name, definition)
        if other is not definition:
            raise ConfigError(
                f"two workflows are named {definition.name!r}, in {_file(other)} and in "
                f"{_file(definition)}; give one of them another name="
            )


def call_of(
    workflow: object, args: tuple[object, ...]
) -> tuple[Workflow[..., Any], tuple[object, ...], Mapping[str, object]]:
    """Take apart what ``engine.start`` was given: a definition, or a ``partial`` of one.

    Raises:
        WorkflowUsageError: it is neither.
    """
    kwargs: Mapping[str, object] = {}
    definition = workflow
    if isinstance(workflow, functools.partial):
        definition, args, kwargs = workflow.func, (*workflow.args, *args), workflow.keywords
    if not isinstance(definition, Workflow):
        raise WorkflowUsageError(
            f"start takes a function decorated with @workflow, not {definition!r}"
        )
    return definition, args, kwargs


def _definitions_in(given: object) -> list[Workflow[..., Any]]:
    if isinstance(given, Workflow):
        return [given]
    if isinstance(given, ModuleType):
        found = [each for each in vars(given).values() if isinstance(each, Workflow)]
        if found:
            return list(dict.fromkeys(found))
        raise ConfigError(f"the module {given.__name__!r} holds no workflow")
    raise ConfigError(
        f"open_engine(workflows=[...]) takes functions decorated with @workflow, not {given!r}"
    )


def _file(definition: Workflow[..., Any]) -> str:
    return inspect.getsourcefile(definition.fn) or definition.__module__
