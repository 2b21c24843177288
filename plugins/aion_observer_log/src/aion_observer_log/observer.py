"""The observer: hears what has happened and writes a line of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from aion_core.contracts import ActivityAttempted, Observer
from aion_core.events import HistoryEvent
from aion_core.ids import WorkflowId
from aion_observer_log.lines import attempt_line, event_line, stuck_line
from aion_observer_log.places import Place

__all__ = ["LogObserver"]


def _now() -> datetime:
    return datetime.now(UTC)


class LogObserver(Observer):
    """Writes to a place. What goes wrong there is for the engine to report: it harms no run.

    Args:
        place: where the lines go.
        now: the time of what has none of its own, which is all but events.
    """

    def __init__(self, place: Place, now: Callable[[], datetime] = _now) -> None:
        self._place = place
        self._now = now

    def committed(self, events: Sequence[HistoryEvent]) -> None:
        if self._place.is_open:
            self._place.write(map(event_line, events))

    def attempted(self, attempt: ActivityAttempted) -> None:
        if self._place.is_open:
            self._place.write([attempt_line(attempt, self._now())])

    def stuck(self, workflow_id: WorkflowId, reason: str) -> None:
        if self._place.is_open:
            self._place.write([stuck_line(workflow_id, reason, self._now())])
