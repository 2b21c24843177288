"""Markers: values that a run got once and for all, and patches it has decided on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from aion_core import commands as c
from aion_core import events as e
from aion_core.failures import Failure, failure_from
from aion_core.ids import position
from aion_core.machine.kernel import Task, checkpoint_if_cancelled, suspend, yield_turn
from aion_core.payloads import Payload

if TYPE_CHECKING:
    from aion_core.machine.environment import Environment

__all__ = ["SIDE_EFFECT", "Markers"]

SIDE_EFFECT = "aion.side_effect"

_PATCHED = "aion.patched:"


class Markers:
    """Values are looked up in what is recorded; patches are decided once for the whole run."""

    __slots__ = ("_environment", "_patches", "_patches_recorded")

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._patches_recorded: frozenset[str] = frozenset()
        self._patches: dict[str, bool] = {}

    def expect_patches(self, names: Iterable[str]) -> None:
        """Before a replay: the names of all markers in the run's history."""
        self._patches_recorded = frozenset(names)

    async def record(self, task: Task, name: str, take: Callable[[], Payload]) -> e.MarkerRecorded:
        """A value from history, or by ``take``, which then runs where workflow code may not.

        What it raises is recorded in the place of the value.
        """
        await checkpoint_if_cancelled()
        place = position("marker", task.path, task.next_ordinal("marker"))
        recorded = self._environment.recorded.marker_at(place)
        if recorded is None or recorded.name != name:
            recorded = await self._take(task, name, place, take)
        self._environment.issue(
            c.RecordMarker(name, place, recorded.payload, recorded.failure), task
        )
        await yield_turn()
        return recorded

    def patched(self, task: Task, id: str) -> bool:
        """Does this run go the new way? Decided at the first call, for the rest of the run."""
        decided = self._patches.get(id)
        if decided is not None:
            return decided
        name = _PATCHED + id
        self._environment.check_may_change("the decision on a patch")
        is_new = not self._environment.is_replaying
        decided = self._patches[id] = is_new or name in self._patches_recorded
        if decided:
            place = position("marker", task.path, task.next_ordinal("marker"))
            self._environment.issue(c.RecordMarker(name, place), task)
        return decided

    async def _take(
        self, task: Task, name: str, place: str, take: Callable[[], Payload]
    ) -> e.MarkerRecorded:
        payload: Payload | None = None
        failure: Failure | None = None
        if not self._environment.has_gone_further:
            # History has other plans. Nothing may be done for a run that is about to diverge.
            self._environment.issue(c.RecordMarker(name, place), task)
            await suspend(lambda: False)
        try:
            with self._environment.lifted():
                payload = take()
        except Exception as error:
            failure = failure_from(error)
        return e.MarkerRecorded(
            seq=self._environment.seq,
            recorded_at=self._environment.now,
            workflow_id=self._environment.workflow_id,
            name=name,
            position=place,
            payload=payload,
            failure=failure,
        )
