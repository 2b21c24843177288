"""The mailroom: takes what clients in other processes have posted, and hands it on.

A message from outside is looked at as a request of this process would be, and then either refused
here, by an answer in its place, or handed to the dispatcher, which answers it in the append that
settles it. Queries are answered here. What runs have sent goes another way: the dispatcher hands
it on when it is committed.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import trio

from aion_core.contracts import (
    Answer,
    EventStore,
    Message,
    StoredMessage,
    StoreWriter,
    UnreadableMessage,
)
from aion_core.errors import (
    AionError,
    CorruptHistoryError,
    EngineStoppedError,
    FencedError,
    PayloadError,
    StoreError,
    WorkflowNotFoundError,
)
from aion_core.ids import WorkflowId
from aion_core.machine.arrivals import Arrival, UpdateSentToRun
from aion_core.machine.updates import unanswered
from aion_core.payloads import Payload, PayloadConverter
from aion_runtime.clock import Clock
from aion_runtime.dispatcher import Dispatcher
from aion_runtime.letters import arrival_in, is_kept_signal, query_in, report_unreadable
from aion_runtime.reception import Reception
from aion_runtime.recorded_updates import recorded_update
from aion_runtime.replies import id_of_update, reply, reply_of_update, reply_with
from aion_runtime.replying import write_answers

__all__ = ["Mailroom"]

logger = logging.getLogger("aion_runtime")

NAP_S = 0.04
"""Seconds between two looks at a store that cannot tell when something has come."""

LONG_NAP_S = 1.0
"""Seconds between two looks at one that can: to be sure."""

LONGEST_PAUSE_S = 5.0

READERS = 50
"""Messages that are looked at together when a store is opened."""


class Mailroom:
    """Looks for messages from outside.

    Args:
        reception: what is held against a request before its run is asked.
        ask: the answer of a run to a query, as for callers in this process.
        on_fenced: called when another writer has taken the store over.
    """

    def __init__(
        self,
        store: EventStore,
        writer: StoreWriter,
        dispatcher: Dispatcher,
        reception: Reception,
        ask: Callable[[WorkflowId, str], Awaitable[Payload]],
        converter: PayloadConverter,
        clock: Clock,
        on_fenced: Callable[[FencedError], None],
    ) -> None:
        self._store = store
        self._writer = writer
        self._dispatcher = dispatcher
        self._reception = reception
        self._ask = ask
        self._converter = converter
        self._clock = clock
        self._on_fenced = on_fenced
        self._position = 0
        self._is_open = True
        self._failures = 0
        self._news = trio.Event()
        self._queries: deque[Message] = deque()

    async def take_up(self, waiting: Sequence[StoredMessage]) -> None:
        """Hand on what an engine finds when it opens its store, of runs and from outside.

        All of it at once, in order: what a run sends that is woken by the first comes after the
        last. Queries have to wait for `run`. Raises what reading the store raises.
        """
        arrivals: list[Arrival | None] = [None] * len(waiting)
        places = iter(range(len(waiting)))
        failures: list[Exception] = []

        async def admit() -> None:
            for place in places:
                message = waiting[place].message
                if message.source is not None:
                    continue
                try:
                    arrivals[place] = await self._admit(message)
                except Exception as error:
                    # Kept, so that the nursery does not put it into a group.
                    failures.append(error)
                    nursery.cancel_scope.cancel()
                    return

        # Each reads the store now and then, which does more in a second if it is asked by many.
        async with trio.open_nursery() as nursery:
            for _ in range(READERS):
                nursery.start_soon(admit)
        if failures:
            raise failures[0]
        for stored, arrival in zip(waiting, arrivals, strict=True):
            self._position = stored.position
            if arrival is not None or stored.message.source is not None:
                self._dispatcher.deliver(stored.message, arrival)

    def stop(self) -> None:
        """The engine stops: what comes from now on waits for the next one."""
        self._is_open = False
        self._news.set()

    async def run(self) -> None:
        """Look, until `stop`; then answer the queries that are in hand."""
        token = trio.lowlevel.current_trio_token()

        def notify() -> None:
            # The run may have ended without it: then nobody waits.
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(self._tell, idempotent=True)

        with self._store.watch(notify) as is_told:
            async with trio.open_nursery() as nursery:
                while self._is_open:
                    self._news = trio.Event()
                    pause = await self._take_what_came()
                    if pause is None:
                        return
                    while self._queries:
                        query = self._queries.popleft()
                        nursery.start_soon(self._answer_query, query, name="aion query")
                    if pause:
                        await self._clock.nap(pause)
                    else:
                        await self._rest(LONG_NAP_S if is_told else NAP_S)

    def _tell(self) -> None:
        self._news.set()

    async def _rest(self, seconds: float) -> None:
        """Return after a while, or when something may have come."""
        async with trio.open_nursery() as nursery:

            async def nap() -> None:
                await self._clock.nap(seconds)
                nursery.cancel_scope.cancel()

            nursery.start_soon(nap)
            await self._news.wait()
            nursery.cancel_scope.cancel()

    async def _take_what_came(self) -> float | None:
        """Returns how long to wait because of an error, 0 for none; None when all is over."""
        try:
            await self._look()
        except FencedError as error:
            self._on_fenced(error)
            return None
        except StoreError as error:
            self._failures += 1
            pause = min(0.05 * 2.0 ** min(self._failures - 1, 16), LONGEST_PAUSE_S)
            logger.warning(
                "messages from outside cannot be taken, next try in %.2f s: %s", pause, error
            )
            return pause
        self._failures = 0
        return 0.0

    async def _look(self) -> None:
        """Take all that has come."""
        while page := await self._store.messages(self._position):
            for stored in page:
                message = stored.message
                # What runs have sent is handed on when it is committed. What this engine has kept
                # for a stuck run waits until that goes on, or ends.
                if message.source is None and not self._dispatcher.custody.was_kept(message):
                    arrival = await self._admit(message)
                    if arrival is not None:
                        self._dispatcher.deliver(message, arrival)
                self._position = stored.position

    async def _admit(self, message: Message) -> Arrival | None:
        """What is to be handed on; None when it has been answered here, or is about to be."""
        if message.kind == "query" and not isinstance(message, UnreadableMessage):
            self._queries.append(message)
            return None
        try:
            arrival = arrival_in(message)
        except CorruptHistoryError as error:
            report_unreadable(message, error)
            return None
        try:
            arrival = await self._reception.checked(message.target, arrival)
            if isinstance(arrival, UpdateSentToRun) and await self._had(message, arrival):
                return None
        except WorkflowNotFoundError:
            pass  # its start may be on the way; if not, the dispatcher says so
        except (AionError, SystemExit) as raised:
            # Whatever the code of a type does to a value, others' messages go on.
            refusal = (
                raised if isinstance(raised, AionError) else PayloadError(f"SystemExit: {raised}")
            )
            if isinstance(refusal, StoreError) and not isinstance(refusal, CorruptHistoryError):
                raise  # it may go another time
            if not await self._is_promised(message):
                await self._settle(message, [reply(message.message_id, refusal, self._clock.now())])
                return None
        return arrival

    async def _is_promised(self, message: Message) -> bool:
        """Has its sender been told that it is kept, for a run that was stuck?"""
        return is_kept_signal(message) or (
            await self._store.fetch_answer(message.message_id) is not None
        )

    async def _had(self, message: Message, arrival: UpdateSentToRun) -> bool:
        """Answer an update that was taken before and has its end; False when it goes on.

        Raises:
            WorkflowUsageError: under its id something else was asked.
        """
        if not await self._store.seen(message.target, [arrival.update_id]):
            return False
        recorded = await recorded_update(self._store, message.target, arrival.update_id)
        if recorded is None:
            return False
        recorded.require_same(arrival, self._converter)
        now = self._clock.now()
        if recorded.answer is not None:
            ending = reply_of_update(recorded.answer)
        else:
            summary = await self._store.read_summary(message.target)
            if summary is None or not summary.status.is_closed:
                return False
            closed = unanswered(message.target, summary.status.value)
            ending = reply(id_of_update(message.target, arrival.update_id), closed, now)
        await self._settle(message, [reply(message.message_id, None, now), ending])
        return True

    async def _answer_query(self, message: Message) -> None:
        failures = 0
        while True:
            try:
                return await self._settle(message, [await self._found(message)])
            except EngineStoppedError:
                return None  # it waits for the next engine
            except FencedError as error:
                self._on_fenced(error)
                return None
            except StoreError as error:
                failures += 1
                pause = min(0.05 * 2 ** min(failures - 1, 16), LONGEST_PAUSE_S)
                logger.warning(
                    "a query of workflow %r is not answered yet, next try in %.2f s: %s",
                    message.target,
                    pause,
                    error,
                )
                await self._clock.nap(pause)

    async def _found(self, message: Message) -> Answer:
        try:
            value = await self._ask(message.target, query_in(message))
        except EngineStoppedError:
            raise
        except AionError as error:
            if isinstance(error, StoreError) and not isinstance(error, CorruptHistoryError):
                raise
            return reply(message.message_id, error, self._clock.now())
        return reply_with(message.message_id, value, self._clock.now())

    async def _settle(self, message: Message, answers: Sequence[Answer]) -> None:
        await write_answers(
            self._store, self._writer, message.target, answers, consume=message.message_id
        )
