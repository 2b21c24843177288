"""Group commit: many tasks submit, one task commits for all of them together.

There is no timer: while one batch commits, the next gathers. Of SQL this module knows nothing.
All its state belongs to the trio thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeAlias, TypeVar

import outcome
import trio

from aion_core.errors import StoreError

__all__ = ["GroupCommit", "committing"]

Item = TypeVar("Item")
Result = TypeVar("Result")

Commit: TypeAlias = Callable[[Sequence[Item], Callable[[Sequence[Result]], None]], Awaitable[None]]

MAX_BATCH = 512
"""Items after which a batch takes in no further request, so that no waiter waits for long."""


class GroupCommit(Generic[Item, Result]):
    """A queue of items to be committed, and the task that commits them.

    Args:
        commit: commits a batch: calls what it is given with one result for each item, as soon as
            they are durable, in the trio thread; or raises `StoreError`, of which every waiter then
            gets a copy. Any other exception ends the committing task.

    Attributes:
        ended: set when the committing task has ended.
        failure: what ended it, when something did.
    """

    def __init__(self, commit: Commit[Item, Result]) -> None:
        self._commit = commit
        self._queue: deque[_Request[Item]] = deque()
        self._idle: trio.lowlevel.Task | None = None
        self._closed = False
        self.ended = trio.Event()
        self.failure: Exception | None = None

    # A KeyboardInterrupt between "queued" and "waiting" would have the task woken that does not
    # sleep, which trio does not survive.
    @trio.lowlevel.enable_ki_protection
    async def submit(self, items: Sequence[Item]) -> Sequence[Result]:
        """Have items committed, together; returns when they are.

        Cancelled while they are queued, they are withdrawn. In flight they are waited for.

        Raises:
            StoreError: what the commit raised; or there is no committing task any more.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._closed:
            raise self._refusal()
        request = _Request(items, trio.lowlevel.current_task())
        self._queue.append(request)
        self._wake()

        def abort(_: object) -> trio.lowlevel.Abort:
            if request.in_flight:
                return trio.lowlevel.Abort.FAILED
            request.withdrawn = True
            return trio.lowlevel.Abort.SUCCEEDED

        results: Sequence[Result] = await trio.lowlevel.wait_task_rescheduled(abort)
        return results

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """Commit batch after batch until closed and drained. Never raises: see ``failure``."""
        batch: list[_Request[Item]] = []
        try:
            # Cancelling must not reach a commit; the loop ends by `close`, and the queue is finite.
            with trio.CancelScope(shield=True):
                while True:
                    batch = self._take()
                    if batch:
                        await self._commit_batch(batch)
                        if self._queue:
                            # Those who have been answered just now run in this turn of the event
                            # loop, as this task does: what they submit is to come along.
                            await trio.lowlevel.cancel_shielded_checkpoint()
                    elif self._closed:
                        return
                    else:
                        self._idle = trio.lowlevel.current_task()
                        await trio.lowlevel.wait_task_rescheduled(
                            lambda _: trio.lowlevel.Abort.FAILED
                        )
        except Exception as error:
            self.failure = error
        finally:
            # Whatever ended this task: who waits for it would wait for ever.
            self._closed = True
            for request in batch:
                request.fail(StoreError(f"a commit was lost ({self.failure!r}): {_READ_FIRST}"))
            for request in self._take(whole=True):
                request.fail(self._refusal())
            self.ended.set()

    def close(self) -> None:
        """Take nothing more; what is queued is still committed."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        task, self._idle = self._idle, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    async def _commit_batch(self, batch: list[_Request[Item]]) -> None:
        def settle(results: Sequence[Result]) -> None:
            # Called a turn of the event loop before this task goes on.
            start = 0
            while batch:
                request = batch.pop(0)
                end = start + len(request.items)
                request.settle(outcome.Value(results[start:end]))
                start = end

        try:
            await self._commit([item for request in batch for item in request.items], settle)
        except StoreError as error:
            # One exception raised in many tasks would gather all their tracebacks.
            for request in batch:
                copy = type(error)(*error.args)
                copy.__cause__ = error
                request.fail(copy)
            batch.clear()

    def _take(self, *, whole: bool = False) -> list[_Request[Item]]:
        taken: list[_Request[Item]] = []
        size = 0
        while self._queue and (whole or size < MAX_BATCH):
            request = self._queue.popleft()
            if not request.withdrawn:
                request.in_flight = True
                taken.append(request)
                size += len(request.items)
        return taken

    def _refusal(self) -> StoreError:
        if self.failure is None:
            return StoreError("this writer has been closed, nothing was written; get a new one")
        refusal = StoreError(
            f"this writer failed ({self.failure!r}), nothing was written; get a new one"
        )
        refusal.__cause__ = self.failure
        return refusal


@asynccontextmanager
async def committing(
    commit: Commit[Item, Result],
) -> AsyncIterator[GroupCommit[Item, Result]]:
    """A group commit with its task, for the length of the context; drained at its end.

    Raises:
        StoreError: at the end, when the committing task had failed.
    """
    group = GroupCommit(commit)
    error_of_body: BaseException | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(group.run, name="sqlite group commit")
        try:
            yield group
        except BaseException as error:
            # Kept past the nursery, which would wrap it into a group.
            error_of_body = error
        group.close()
        # Bounded by what is queued. The nursery would wait, too, but if cancelled meanwhile it
        # would raise that and lose the body's error.
        with trio.CancelScope(shield=True):
            await group.ended.wait()
    if error_of_body is not None:
        raise error_of_body
    if group.failure is not None:
        raise StoreError(f"the writer failed: {group.failure!r}") from group.failure


_READ_FIRST = "read the history before trying again"


class _Request(Generic[Item]):
    __slots__ = ("in_flight", "items", "task", "withdrawn")

    def __init__(self, items: Sequence[Item], task: trio.lowlevel.Task) -> None:
        self.items = items
        self.task = task
        self.in_flight = False
        self.withdrawn = False

    def settle(self, result: outcome.Outcome[Any]) -> None:
        trio.lowlevel.reschedule(self.task, result)

    def fail(self, error: StoreError) -> None:
        self.settle(outcome.Error(error))
