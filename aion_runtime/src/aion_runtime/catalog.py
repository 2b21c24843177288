"""The catalog: which workflow definitions an engine has, by type, and in which version."""

from __future__ import annotations

import functools
import inspect
import os
import typing
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any, Literal, TypeAlias, TypeVar

import attrs

from aion_core.authoring.activities import Activity
from aion_core.authoring.workflows import ChildOptions, Workflow
from aion_core.errors import (
    ConfigError,
    UnknownWorkflowTypeError,
    VersionNotLoadedError,
    WorkflowUsageError,
)
from aion_core.events import UNVERSIONED
from aion_core.ids import PackageVersion
from aion_core.payloads import PayloadConverter
from aion_core.policies import Limit
from aion_runtime.hashing.packages import SourceReader
from aion_runtime.versions import workflow_code

__all__ = ["ResolvedDefinition", "VersionPolicy", "WorkflowCatalog", "call_of"]

VersionPolicy: TypeAlias = Literal["replay", "strict"]
"""What becomes of a run that was begun by other code than is loaded.

``replay``: the loaded code goes on with it, if it fits its history. ``strict``: it waits for the
code that began it.
"""

_Definition: TypeAlias = Workflow[..., Any] | Activity[..., Any]
_D = TypeVar("_D", Workflow[..., Any], Activity[..., Any])


@attrs.frozen
class ResolvedDefinition:
    """The code that a run goes on with.

    Attributes:
        loaded_version: of this code.
        changed: whether the run is known to have been begun by other code. Nothing is known when
            one of the two is unversioned.
    """

    definition: Workflow[..., Any]
    loaded_version: str
    changed: bool = False


class WorkflowCatalog:
    """Definitions by workflow type, under their names and their aliases.

    Workflows that the given ones name statically are in it, too.

    Args:
        given: definitions, or modules that hold some.
        on_version_mismatch: what `resolve` does about a version that is not loaded.

    Raises:
        ConfigError: something else was given, or two definitions, of workflows or of activities
            that the workflows name, have one name.
        TypeError: a type in a definition's signature cannot be stored.
    """

    def __init__(
        self,
        given: Iterable[Workflow[..., Any] | ModuleType],
        converter: PayloadConverter,
        *,
        on_version_mismatch: VersionPolicy = "replay",
    ) -> None:
        allowed = typing.get_args(VersionPolicy)
        if on_version_mismatch not in allowed:
            raise ConfigError(
                f"on_version_mismatch is one of {' and '.join(map(repr, allowed))}, "
                f"not {on_version_mismatch!r}"
            )
        self._policy = on_version_mismatch
        self._definitions: dict[str, Workflow[..., Any]] = {}
        activities: dict[str, Activity[..., Any]] = {}
        # Each file is read once for all definitions, and forgotten when they are all known.
        reader = SourceReader()
        todo = [definition for each in given for definition in _definitions_in(each)]
        for definition in todo:
            if not _add(definition, self._definitions, "workflows"):
                continue
            definition.signature.check_types(converter)
            code = workflow_code(definition, reader)
            todo += code.workflows
            for activity in code.activities:
                _add(activity, activities, "activities")

    def __call__(self, workflow_type: str) -> Workflow[..., Any]:
        """The definition with this name or alias. Raises `UnknownWorkflowTypeError`."""
        definition = self._definitions.get(workflow_type)
        if definition is None:
            known = {each.name for each in self._definitions.values()}
            raise UnknownWorkflowTypeError(workflow_type, tuple(sorted(known)))
        return definition

    def __contains__(self, workflow_type: str) -> bool:
        return workflow_type in self._definitions

    def holds(self, definition: Workflow[..., Any]) -> bool:
        """Whether this definition is in it, or the same one imported as another module."""
        known = self._definitions.get(definition.name)
        return known is not None and _is_same(known, definition)

    def limits(self) -> dict[str, Limit]:
        """The limit of each workflow that has one, under all of its names."""
        return {
            name: definition.limit
            for name, definition in self._definitions.items()
            if definition.limit is not None
        }

    def version_of(self, workflow_type: str) -> PackageVersion:
        """The content hash of a type's loaded code, or ``unversioned``.

        Raises:
            UnknownWorkflowTypeError: there is none.
        """
        return PackageVersion(workflow_code(self(workflow_type), SourceReader()).version)

    def resolve(self, workflow_type: str, version: str) -> ResolvedDefinition:
        """The code with which a run of this type and version goes on.

        Under ``replay`` always what is loaded, whatever its version; a run whose version is
        unversioned never counts as changed. Under ``strict`` an unversioned run and a hash differ
        like two hashes: nobody can say that they are the same code.

        Raises:
            UnknownWorkflowTypeError: the type is not there in any version.
            VersionNotLoadedError: under ``strict``, the loaded version is another one.
        """
        definition = self(workflow_type)
        loaded = self.version_of(workflow_type)
        if version == loaded:
            return ResolvedDefinition(definition, loaded)
        if self._policy == "strict":
            raise VersionNotLoadedError(workflow_type, version, loaded)
        return ResolvedDefinition(definition, loaded, UNVERSIONED not in (version, loaded))


def call_of(
    workflow: object, args: tuple[object, ...]
) -> tuple[Workflow[..., Any], tuple[object, ...], Mapping[str, object]]:
    """Take apart what ``engine.start`` was given: a definition, or a ``partial`` of one.

    Raises:
        WorkflowUsageError: it is neither, or has options for a child.
    """
    kwargs: Mapping[str, object] = {}
    definition = workflow
    if isinstance(workflow, functools.partial):
        definition, args, kwargs = workflow.func, (*workflow.args, *args), workflow.keywords
    if not isinstance(definition, Workflow):
        raise WorkflowUsageError(
            f"start takes a function decorated with @workflow, not {definition!r}"
        )
    if definition.as_child != ChildOptions():
        raise WorkflowUsageError(
            f"options of workflow {definition.name!r} are for calling it as a child; give start "
            "the workflow itself, and the workflow_id as an argument of start"
        )
    return definition, args, kwargs


def _add(definition: _D, known: dict[str, _D], role: str) -> bool:
    """Enter a definition under all its names; False when it was there already."""
    names = (definition.name, *definition.aliases)
    for name in names:
        other = known.get(name, definition)
        if not _is_same(other, definition):
            raise ConfigError(
                f"two {role} are named {name!r}, in {_place(other)} and in "
                f"{_place(definition)}; give one of them another name="
            )
    is_new = definition.name not in known
    for name in names:
        known.setdefault(name, definition)
    return is_new


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


def _is_same(one: _Definition, other: _Definition) -> bool:
    """Whether two definitions are one: an activity with other options, or a module loaded twice.

    The latter is what ``python app.py`` does when something imports ``app``.
    """
    if one.fn is other.fn:
        return True
    if one.__qualname__ != other.__qualname__ or one.__module__ == other.__module__:
        return False
    files = inspect.getsourcefile(one.fn), inspect.getsourcefile(other.fn)
    if files[0] is None or files[1] is None:
        return False
    # `python ./app.py` spells the path as it was typed, the import does not.
    return os.path.realpath(files[0]) == os.path.realpath(files[1])


def _place(definition: _Definition) -> str:
    file = inspect.getsourcefile(definition.fn)
    if file is None:
        return definition.__module__
    return f"{file}:{definition.fn.__code__.co_firstlineno}"
