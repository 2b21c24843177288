"""Reading: a history on its way into a run, event by event, so that a long one comes in pieces."""

from __future__ import annotations

from collections.abc import Iterable

from aion_core.events import HistoryEvent
from aion_core.history import RunProjection
from aion_core.ids import WorkflowId
from aion_core.machine.facts import RunFacts

__all__ = ["RunReading"]


class RunReading:
    """What a run knows of its history without its code."""

    def __init__(self, workflow_id: WorkflowId, history: Iterable[HistoryEvent] = ()) -> None:
        self.projection = RunProjection(workflow_id)
        self.facts = RunFacts((), ())
        for event in history:
            self.take(event)

    def take(self, event: HistoryEvent) -> None:
        """Take the next event.

        Raises:
            HistoryShapeError: it is not the next, or cannot stand there.
        """
        self.projection.apply(event)
        self.facts.take(event)
