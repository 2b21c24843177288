"""The scene of an exploration: what all runs through a script have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any

import attrs

from aion_core.authoring.workflows import Workflow
from aion_core.ids import WorkflowId
from aion_core.plugins import PluginManager
from aion_runtime.testing.exploring_stage import pacer
from aion_runtime.testing.script import Arrival, Start

__all__ = ["Scene", "cast_of"]


@attrs.frozen(kw_only=True)
class Scene:
    """What is explored, and over which store.

    Attributes:
        workflow_id: of the workflow that is explored.
        delay: seconds for which its code does not run; None when it begins at once.
        workflows: all that an engine has to know.
        store: a URL; ``{run}`` in it is replaced by the number of the run.
        resident_bytes: as for `open_engine`.
    """

    workflow: Workflow[..., Any]
    args: tuple[object, ...]
    keywords: Mapping[str, object]
    workflow_id: WorkflowId
    delay: float | None
    workflows: Sequence[Workflow[..., Any] | ModuleType]
    store: str
    plugins: PluginManager
    resident_bytes: int


def cast_of(
    given: Iterable[Workflow[..., Any] | ModuleType], script: Iterable[tuple[Arrival, ...]]
) -> list[Workflow[..., Any] | ModuleType]:
    """The definitions that it takes to see a script through."""
    bursts = list(script)
    started = [each.workflow for burst in bursts for each in burst if isinstance(each, Start)]
    return [*given, *started, *([pacer] if any(len(burst) > 1 for burst in bursts) else [])]
