"""The context of drivers and executors where no engine makes it: for tools and tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from aion_core.authoring.workflows import Workflow
from aion_core.contracts import SeamContext
from aion_core.payloads import PayloadConverter
from aion_runtime.catalog import WorkflowCatalog
from aion_runtime.guard import activation_guard

__all__ = ["context_for"]


def context_for(
    workflows: Iterable[Workflow[..., Any] | ModuleType],
    *,
    settings: Mapping[str, object] | None = None,
    converter: PayloadConverter | None = None,
) -> SeamContext:
    """What a driver, a seam or an executor is made with.

    Args:
        workflows: definitions, or modules with definitions.
        settings: the part's own.
        converter: how the runs' values are stored; with the codecs that they were stored with.

    Raises:
        ConfigError: two workflows have one name, or something else was given.
    """
    converter = converter or PayloadConverter()
    return SeamContext(
        settings=settings or {},
        catalog=WorkflowCatalog(workflows, converter),
        converter=converter,
        guard=activation_guard,
    )
