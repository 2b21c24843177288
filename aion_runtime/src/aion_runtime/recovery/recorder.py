"""The recorder: writes the history of one run outside of an engine, and knows where it ends.

An engine writes many runs in one transaction and throws a run away when its append fails; what
follows from that is the same. This is for drivers outside the engine, tools and tests, and for
what recovery itself has to record.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from aion_core.contracts import Answer, Append, EventStore, Message, StoreWriter
from aion_core.errors import (
    FencedError,
    MessageGoneError,
    SequenceConflictError,
    StoreError,
    StoreUnavailableError,
)
from aion_core.events import HistoryEvent
from aion_core.ids import WorkflowId
from aion_runtime.clock import Clock, SystemClock

__all__ = ["Recorder", "WritableStore"]

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 5.0

TRIES = 3
"""How often an append is tried whose answer is lost each time; a terminal without end."""


@attrs.frozen
class WritableStore:
    """A store, with the authority to write to it."""

    store: EventStore
    writer: StoreWriter


class Recorder:
    """The only writer of a run.

    Args:
        head: seq of the last event; 0 when there is none.
        clock: by which it waits between two tries.
        history: what its caller has read of it already.

    Attributes:
        head: seq of the last event that is known to be durable.
    """

    def __init__(
        self,
        writer: WritableStore,
        workflow_id: WorkflowId,
        head: int,
        *,
        clock: Clock | None = None,
        history: Sequence[HistoryEvent] = (),
    ) -> None:
        self.workflow_id = workflow_id
        self.head = head
        self._writer = writer
        self._clock = clock or SystemClock()
        self._history = history
        self._doubt: StoreError | None = None

    async def append(
        self,
        events: Sequence[HistoryEvent],
        *,
        consume: Sequence[str] = (),
        post: Sequence[Message] = (),
        answer: Sequence[Answer] = (),
    ) -> None:
        """Add events; durable when it returns.

        When the answer of the store is lost, what it holds decides: our events, then they are
        taken for written, whatever follows them; nothing, then they are written again; something
        else, then it is a conflict.

        Raises:
            SequenceConflictError: there is a second writer. Nothing more is written before
                `reload`, whose history the caller has to judge anew.
            MessageGoneError: a consumed message is not there any more; likewise.
            FencedError: another writer has taken the store over.
            StoreUnavailableError: nothing was written, and may be by another call.
            StoreError: the events cannot be stored, and nothing was written; or it is not known
                what was, and only `reload` tells.
        """
        await self._append(events, consume, post, answer, until_written=False)

    async def append_terminal(self, events: Sequence[HistoryEvent]) -> None:
        """Add the events that end the run: `append`, tried until the store takes them.

        It ends by being cancelled, at the latest when the engine stops.

        Raises:
            SequenceConflictError: there is a second writer.
            FencedError: another writer has taken the store over.
            StoreError: the events cannot be stored.
        """
        await self._append(events, (), (), (), until_written=True)

    async def read(self) -> Sequence[HistoryEvent]:
        """The history up to the last event that is known to be durable."""
        history = self._history
        if len(history) < self.head:
            history = await self._writer.store.read_history(self.workflow_id)
        return history[: self.head]

    async def reload(self) -> Sequence[HistoryEvent]:
        """Read the history again, and write after its end from now on."""
        history = await self._writer.store.read_history(self.workflow_id)
        self.head = history[-1].seq if history else 0
        self._doubt = None
        return history

    async def _append(
        self,
        events: Sequence[HistoryEvent],
        consume: Sequence[str],
        post: Sequence[Message],
        answer: Sequence[Answer],
        *,
        until_written: bool,
    ) -> None:
        if self._doubt is not None:
            raise self._doubt
        append = Append(self.workflow_id, events, self.head, consume, post, answer)
        tries = 0
        while True:
            tries += 1
            try:
                (refusal,) = await self._writer.writer.append_many([append])
            except FencedError:
                raise
            except StoreUnavailableError:
                if not until_written:
                    raise
            except StoreError as lost:
                if await self._is_written(append, lost, until_written=until_written):
                    break
                if tries >= TRIES and not until_written:
                    raise
            else:
                if refusal is None:
                    break
                if isinstance(refusal, SequenceConflictError | MessageGoneError):
                    self._doubt = refusal
                raise refusal
            await self._pause(tries)
        self.head += len(events)

    async def _is_written(self, append: Append, lost: StoreError, *, until_written: bool) -> bool:
        """Look what became of an append of which no answer came."""
        events = list(append.events)
        if not events:
            # Posted and answered once, however often it is asked for; and consumed it refuses.
            return False
        tries = 0
        while True:
            tries += 1
            try:
                found = await self._writer.store.read_history_from(
                    self.workflow_id, append.expected_seq + 1, len(events)
                )
            except StoreError:
                if tries >= TRIES and not until_written:
                    # It may have been written or not: who goes on must look first.
                    self._doubt = lost
                    raise lost from None
                await self._pause(tries)
                continue
            if not found:
                return False
            if list(found) == events:
                return True
            self._doubt = SequenceConflictError(
                self.workflow_id, append.expected_seq, found[-1].seq
            )
            raise self._doubt from lost

    async def _pause(self, tries: int) -> None:
        pause = min(FIRST_PAUSE_S * 2 ** min(tries - 1, 16), LONGEST_PAUSE_S)
        await self._clock.sleep_until_monotonic(self._clock.monotonic() + pause)
