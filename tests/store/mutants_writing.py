"""Mutants that write wrongly: stores with one defect each, in what they take and keep."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar

import attrs
import trio

from aion_core.contracts import (
    Answer,
    Append,
    FeedItem,
    Message,
    StoreWriter,
)
from aion_core.errors import FencedError, SequenceConflictError, StoreError
from aion_core.history import RunProjection
from aion_core.ids import ActivityId, RunId, WorkflowId
from aion_core.payloads import Payload
from aion_store_memory.contents import Contents
from aion_store_memory.mailbox import Mailbox
from aion_store_memory.store import MemoryStore
from aion_store_memory.writer import MemoryWriter

__all__ = [
    "ConsumesForOthers",
    "CutsAppendsInTwo",
    "DropsWhatChangesNothing",
    "GivesPlacesAgain",
    "KeepsTheFirstAnswer",
    "KeepsTheLastPost",
    "PostsBeforeItConsumes",
    "PostsBesideTheAppend",
    "PostsWhatWasAnswered",
    "PurgesOneByOne",
    "PurgesOpenWorkflows",
    "PurgesStarts",
    "PurgesTheMailbox",
    "RefusesTheWholeBatch",
    "ReservesPlaces",
    "SwallowsConflicts",
    "TakesHeartbeatsOfAnyAttempt",
    "WritesThoughFenced",
]


class OtherWriter(MemoryStore):
    """Not a mutant yet: a store whose writers are of another class."""

    writer_class: ClassVar[type[MemoryWriter]]

    @asynccontextmanager
    async def writer(self, *, takeover: bool = False) -> AsyncIterator[StoreWriter]:
        async with super().writer(takeover=takeover) as inner:
            inner.__class__ = self.writer_class
            yield inner


class PostsBesideTheAppend(OtherWriter):
    """Messages are posted in a transaction of their own, before the append."""

    class writer_class(MemoryWriter):  # noqa: N801
        async def append_many(self, appends: Sequence[Append]) -> Sequence[StoreError | None]:
            contents = await self._enter()
            for append in appends:
                for message in append.post:
                    contents.mailbox.post(message)
            return await super().append_many([attrs.evolve(each, post=()) for each in appends])


class SwallowsConflicts(OtherWriter):
    """A conflict is taken for a repetition, and nobody is told."""

    class writer_class(MemoryWriter):  # noqa: N801
        async def append_many(self, appends: Sequence[Append]) -> Sequence[StoreError | None]:
            return [
                None if isinstance(refusal, SequenceConflictError) else refusal
                for refusal in await super().append_many(appends)
            ]


class DropsWhatChangesNothing(OtherWriter):
    """Of events that come with their changes, those that change no row are not kept."""

    class writer_class(MemoryWriter):  # noqa: N801
        async def append_many(self, appends: Sequence[Append]) -> Sequence[StoreError | None]:
            return await super().append_many([self._without(append) for append in appends])

        @staticmethod
        def _without(append: Append) -> Append:
            if append.changes is None or len(append.changes) != len(append.events):
                return append
            pairs = zip(append.events, append.changes, strict=True)
            kept = [event for event, change in pairs if change is not None]
            events = [
                attrs.evolve(event, seq=seq)
                for seq, event in enumerate(kept, append.expected_seq + 1)
            ]
            return attrs.evolve(append, events=events, changes=None)


class RefusesTheWholeBatch(OtherWriter):
    """One refused append spoils the transaction for all."""

    class writer_class(MemoryWriter):  # noqa: N801
        async def append_many(self, appends: Sequence[Append]) -> Sequence[StoreError | None]:
            contents = await self._enter()
            for append in appends:
                workflow = contents.workflows.get(append.workflow_id)
                head = 0 if workflow is None else workflow.projection.head
                if len(appends) > 1 and head != append.expected_seq:
                    conflict = SequenceConflictError(append.workflow_id, append.expected_seq, head)
                    return [conflict] * len(appends)
            return await super().append_many(appends)


class WritesThoughFenced(OtherWriter):
    """A replaced writer is not asked whether it still may."""

    class writer_class(MemoryWriter):  # noqa: N801
        async def append_many(self, appends: Sequence[Append]) -> Sequence[StoreError | None]:
            try:
                return await super().append_many(appends)
            except FencedError:
                self.fenced = False
                return await super().append_many(appends)


class CutsAppendsInTwo(OtherWriter):
    """Between the events and the messages of an append there is an await."""

    class writer_class(MemoryWriter):  # noqa: N801
        async def append_many(self, appends: Sequence[Append]) -> Sequence[StoreError | None]:
            events = [attrs.evolve(each, consume=(), post=(), answer=()) for each in appends]
            refusals = await super().append_many(events)
            for append, refusal in zip(appends, refusals, strict=True):
                if refusal is None and (append.post or append.consume or append.answer):
                    head = append.expected_seq + len(append.events)
                    rest = attrs.evolve(append, events=(), expected_seq=head)
                    await super().append_many([rest])
            return refusals


class TakesHeartbeatsOfAnyAttempt(OtherWriter):
    """The heartbeat of a former attempt overwrites that of the current one."""

    class writer_class(MemoryWriter):  # noqa: N801
        async def put_heartbeat(
            self,
            workflow_id: WorkflowId,
            run_id: RunId,
            activity_id: ActivityId,
            attempt: int,
            details: Payload,
        ) -> None:
            workflow = (await self._enter()).workflows.get(workflow_id)
            row = None if workflow is None else workflow.projection.activities.get(activity_id)
            attempt = attempt if row is None else row.attempt
            await super().put_heartbeat(workflow_id, run_id, activity_id, attempt, details)


class PurgesOpenWorkflows(OtherWriter):
    """Whatever is named is deleted."""

    class writer_class(MemoryWriter):  # noqa: N801
        async def purge(self, workflow_ids: Collection[WorkflowId]) -> int:
            contents = await self._enter()
            for workflow_id in workflow_ids:
                if workflow_id in contents.workflows:
                    contents.workflows[workflow_id].projection = RunProjection(workflow_id)
            return contents.purge(workflow_ids)


class PurgesOneByOne(OtherWriter):
    """Those before the open one are gone when it is refused."""

    class writer_class(MemoryWriter):  # noqa: N801
        async def purge(self, workflow_ids: Collection[WorkflowId]) -> int:
            contents = await self._enter()
            return sum(contents.purge([workflow_id]) for workflow_id in workflow_ids)


class OtherMailbox(MemoryStore):
    """Not a mutant yet: a store whose mailbox is of another class."""

    mailbox_class: ClassVar[type[Mailbox]]

    def __init__(self) -> None:
        super().__init__()
        self._contents.mailbox = self.mailbox_class()


class KeepsTheLastPost(OtherMailbox):
    """A message posted again takes the place of the first."""

    class mailbox_class(Mailbox):  # noqa: N801
        def post(self, message: Message) -> None:
            self._pending.pop(message.message_id, None)
            super().post(message)


class PostsWhatWasAnswered(OtherMailbox):
    """A message that has its answer is posted again."""

    class mailbox_class(Mailbox):  # noqa: N801
        def post(self, message: Message) -> None:
            kept, self._answers = self._answers, {}
            super().post(message)
            self._answers = kept


class ConsumesForOthers(OtherMailbox):
    """Nobody looks whether the message is to this workflow."""

    class mailbox_class(Mailbox):  # noqa: N801
        def require_pending(self, workflow_id: WorkflowId, message_ids: Sequence[str]) -> None:
            for message_id in message_ids:
                stored = self._pending.get(message_id)
                owner = workflow_id if stored is None else stored.message.target
                super().require_pending(owner, [message_id])


class GivesPlacesAgain(OtherMailbox):
    """The place of a message is the number of those that wait."""

    class mailbox_class(Mailbox):  # noqa: N801
        def post(self, message: Message) -> None:
            self._last_position = max(
                (stored.position for stored in self._pending.values()), default=0
            )
            super().post(message)


class PurgesStarts(OtherWriter):
    """With a workflow go the starts under rate limits, which then allow too much."""

    class writer_class(MemoryWriter):  # noqa: N801
        async def purge(self, workflow_ids: Collection[WorkflowId]) -> int:
            contents = await self._enter()
            contents._starts.clear()
            return contents.purge(workflow_ids)


class PurgesTheMailbox(OtherWriter):
    """With a workflow goes what waits for it."""

    class writer_class(MemoryWriter):  # noqa: N801
        async def purge(self, workflow_ids: Collection[WorkflowId]) -> int:
            contents = await self._enter()
            purged = contents.purge(workflow_ids)
            for stored in contents.mailbox.page(0, contents.mailbox.pending):
                if stored.message.target in workflow_ids:
                    contents.mailbox.consume([stored.message.message_id])
            return purged


class PostsBeforeItConsumes(MemoryStore):
    """What an append consumes still waits when it posts, so a message of that id is no news."""

    class Hasty(Contents):
        def append(self, append: Append) -> None:
            news = [each for each in append.post if each.message_id not in append.consume]
            super().append(attrs.evolve(append, post=news))

    def __init__(self) -> None:
        super().__init__()
        self._contents = self.Hasty()


class KeepsTheFirstAnswer(MemoryStore):
    """An answer that is there already is not replaced."""

    class Stubborn(Mailbox):
        def answer(self, answer: Answer) -> None:
            if self.fetch(answer.message_id) is None:
                super().answer(answer)

    def __init__(self) -> None:
        super().__init__()
        self._contents.mailbox = self.Stubborn()


class ReservesPlaces(OtherWriter):
    """An event has its place in the feed before it is committed, and others overtake it."""

    class Reserving(Contents):
        def __init__(self) -> None:
            super().__init__()
            self.places: dict[tuple[str, int], int] = {}

    class writer_class(MemoryWriter):  # noqa: N801
        async def append_many(self, appends: Sequence[Append]) -> Sequence[StoreError | None]:
            contents = await self._enter()
            assert isinstance(contents, ReservesPlaces.Reserving)
            for append in appends:
                for event in append.events:
                    place = len(contents.places) + 1
                    contents.places.setdefault((event.workflow_id, event.seq), place)
            for _ in range(len(contents.places) % 3):
                await trio.lowlevel.checkpoint()
            return await super().append_many(appends)

    def __init__(self) -> None:
        super().__init__()
        self._contents = self._reserving = self.Reserving()

    async def feed(self, after: int = 0, limit: int = 1000) -> Sequence[FeedItem]:
        events = [item.event for item in await super().feed(0, 100_000)]
        places = self._reserving.places
        items = [FeedItem(places[event.workflow_id, event.seq], event) for event in events]
        items.sort(key=lambda item: item.position)
        return [item for item in items if item.position > after][:limit]
