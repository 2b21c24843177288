"""Observers: what plugins are told, each of them isolated from the engine and from the others."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence

from aion_core.contracts import ActivityAttempted, Observer
from aion_core.events import HistoryEvent
from aion_core.ids import WorkflowId
from aion_runtime.commit_bell import CommitBell

__all__ = ["Observers"]

logger = logging.getLogger("aion_runtime")


class Observers:
    """All observers of an engine. What one of them raises is logged and counted, no more.

    Args:
        observers: each with the name of its plugin.

    Attributes:
        failures: how often the observers of which plugin have raised.
        bell: rung at each commit.
    """

    def __init__(self, observers: Sequence[tuple[str, Observer]] = ()) -> None:
        self._observers = tuple(observers)
        self.failures: Counter[str] = Counter()
        self.bell = CommitBell()

    def __bool__(self) -> bool:
        return bool(self._observers)

    def committed(self, events: Sequence[HistoryEvent]) -> None:
        """Events of one workflow are durable."""
        self.bell.ring()
        self._tell("committed", lambda observer: observer.committed(events))

    def attempted(self, attempt: ActivityAttempted) -> None:
        """An attempt of an activity has ended."""
        self._tell("attempted", lambda observer: observer.attempted(attempt))

    def stuck(self, workflow_id: WorkflowId, reason: str) -> None:
        """A run cannot go on in this engine."""
        self._tell("stuck", lambda observer: observer.stuck(workflow_id, reason))

    def _tell(self, what: str, tell: Callable[[Observer], None]) -> None:
        for plugin, observer in self._observers:
            try:
                tell(observer)
            except (Exception, SystemExit):  # it must not cost a run anything
                self.failures[plugin] += 1
                logger.exception(
                    "an observer of plugin %r raised in %s (%d times so far)",
                    plugin,
                    what,
                    self.failures[plugin],
                )
