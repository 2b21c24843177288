"""Observing: what plugins are told of an engine, after the fact."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import attrs

from aion_core.authoring.activities import ActivityInfo
from aion_core.contracts.rows import EVERYTHING, RunFilter, RunPage
from aion_core.events import HistoryEvent
from aion_core.history import WorkflowSummary
from aion_core.ids import WorkflowId

__all__ = ["ActivityAttempted", "EngineView", "Observer"]


@attrs.frozen
class ActivityAttempted:
    """An attempt has ended.

    Attributes:
        outcome: ``completed``, ``failed``, ``cancelled``, or ``dropped`` when nobody wanted it any
            more.
        seconds: how long it took.
    """

    info: ActivityInfo
    outcome: str
    seconds: float


class Observer:
    """Told what has happened. Every method may be left out; what they raise is logged, no more.

    They are called in the engine's own task, between two of its steps: they must be quick.
    """

    def committed(self, events: Sequence[HistoryEvent]) -> None:
        """Events of one workflow are durable."""

    def attempted(self, attempt: ActivityAttempted) -> None:
        """An attempt of an activity has ended; its outcome may not be durable yet."""

    def stuck(self, workflow_id: WorkflowId, reason: str) -> None:
        """A run cannot go on in this engine."""


class EngineView(ABC):
    """What plugins see of an engine."""

    @abstractmethod
    async def describe(self, workflow_id: str) -> WorkflowSummary:
        """One line about a workflow. Raises `WorkflowNotFoundError`."""

    @abstractmethod
    async def list_runs(
        self, filter: RunFilter = EVERYTHING, *, limit: int = 100, cursor: str | None = None
    ) -> RunPage:
        """Workflows, as the store lists them."""
