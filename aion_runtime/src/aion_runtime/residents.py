"""Residents: the entries of an engine by workflow, and which of their runs stay in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import trio

from aion_core.ids import WorkflowId
from aion_core.machine.run import Run
from aion_runtime.entries import Entry, Stage
from aion_runtime.residency import Residency

__all__ = ["RESIDENT_BYTES", "Residents"]

RESIDENT_BYTES = 256 * 1024 * 1024
"""Unless an engine is told otherwise: room for some 35 000 runs that wait."""

BYTES_OF_RUN = 7_000
BYTES_OF_TASK = 1_700
BYTES_OF_ACTIVITY = 1_300
BYTES_OF_TIMER = 1_000
BYTES_OF_ID = 220
"""By tracemalloc, on Python 3.11. What is estimated is 0.86 to 1.03 of what a run takes that waits
for a signal, a timer, a deadline or up to 100 activities, that has had 20 signals or has not yet
received them, or that has ten tasks with a deadline each.
"""

EVENTS_OF_LOAD = 30
"""A load costs as much as the replay of so many events before the first is read."""


class Residents:
    """What the engine holds in memory: one entry for each workflow that something happens to.

    A run at rest is a cache of its history. Of an entry without it little is left, and nothing
    when the workflow has no activity open; it is loaded when something arrives.

    Args:
        resident_bytes: for all runs in memory, by estimate. Runs that are being stepped or written
            stay, whatever they take.
    """

    def __init__(self, resident_bytes: int) -> None:
        self._entries: dict[WorkflowId, Entry] = {}
        self._residency: Residency[Entry] = Residency(resident_bytes)
        self._rest = trio.Event()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def entry_of(self, workflow_id: WorkflowId) -> Entry:
        """The entry of a workflow; a cold one is made when there is none."""
        entry = self._entries.get(workflow_id)
        if entry is None:
            entry = self._entries[workflow_id] = Entry(workflow_id)
        return entry

    def rests(self, entry: Entry, run: Run) -> None:
        """The entry is idle and its run waits; those for which there is no room go."""
        self._residency.rest(entry, weight_of(run), cost_of(run))
        while (least := self._residency.next_to_go()) is not None:
            self._evict(least)

    def used(self, entry: Entry) -> None:
        """Something has arrived for an entry that was idle."""
        self._residency.use(entry)

    def throw_away(self, entry: Entry) -> None:
        """Close the run of an entry: it is ahead of the disk, or not needed. History has it."""
        self._residency.drop(entry)
        run, entry.run = entry.run, None
        if run is not None:
            run.close()

    def let_go(self, entry: Entry) -> None:
        """Nothing is to happen to the workflow any more: the entry goes, too."""
        self.throw_away(entry)
        self._entries.pop(entry.workflow_id, None)

    def clear(self) -> None:
        """Let everything go."""
        for entry in tuple(self):
            self.let_go(entry)

    async def until_none(self, is_awaited: Callable[[Entry], bool]) -> None:
        """Return when no entry is so."""
        while any(is_awaited(entry) for entry in self):
            self._rest = trio.Event()
            await self._rest.wait()

    def rested(self) -> None:
        """A loop has nothing left to do: those who wait may look again."""
        self._rest.set()

    def _evict(self, entry: Entry) -> None:
        assert entry.run is not None
        # While an activity is open the entry knows what nobody else does: which attempts run, and
        # which a former process has begun.
        if not entry.run.projection.activities and entry.is_empty():
            self.let_go(entry)
        else:
            entry.stage = Stage.COLD
            self.throw_away(entry)


def weight_of(run: Run) -> int:
    """About how many bytes a run at rest takes. What its code keeps in variables is not seen."""
    state = run.projection
    return (
        BYTES_OF_RUN
        + BYTES_OF_TASK * max(run.task_count - 1, 0)
        + run.kept_bytes
        + BYTES_OF_ACTIVITY * len(state.activities)
        + BYTES_OF_TIMER * len(state.timers)
        + BYTES_OF_ID * (len(state.signal_ids) + len(state.update_ids))
    )


def cost_of(run: Run) -> int:
    """What it takes to load a run, in events read and replayed."""
    return EVENTS_OF_LOAD + run.projection.head
