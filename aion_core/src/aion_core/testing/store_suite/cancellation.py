"""Cancelling a write, at any moment: written and told so, or not written."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import pytest
import trio

from aion_core.contracts import EventStore, StoreWriter
from aion_core.testing.histories import Opener, Story, answer, at, message, write
from aion_core.testing.store_suite.base import SuiteBase

__all__ = ["CancellationCases"]

MOST_AWAITS = 1_000


class _CancelAt(trio.abc.Instrument):
    """Cancels a scope when its task waits for the ``n``-th time."""

    def __init__(self, task: trio.lowlevel.Task, scope: trio.CancelScope, n: int) -> None:
        self._task = task
        self._scope = scope
        self._left = n

    @property
    def struck(self) -> bool:
        """Has it come to that?"""
        return self._left <= 0

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self._left -= 1
            if self._left == 0:
                self._scope.cancel()


async def cancelled_at(n: int, call: Callable[[], Awaitable[object]]) -> tuple[bool, bool]:
    """Make a call, and cancel it at its ``n``-th await.

    Returns:
        Whether it returned, and whether it came to that await.
    """
    returned = False
    with trio.CancelScope() as scope:
        instrument = _CancelAt(trio.lowlevel.current_task(), scope, n)
        trio.lowlevel.add_instrument(instrument)
        try:
            await call()
            returned = True
        finally:
            trio.lowlevel.remove_instrument(instrument)
    return returned, instrument.struck


class CancellationCases(SuiteBase):
    """There is no third case between written and not written."""

    @pytest.mark.trio
    async def test_an_append_cancelled_at_any_await_is_whole_or_not_there(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        struck, n = True, 0
        while struck:
            n += 1
            assert n < MOST_AWAITS
            name = f"w{n}"
            story = Story(name).started().scheduled("a").timer("t", at(n)).signal(id="s")
            await store.post(message(name, name))
            append = story.append(consume=[name], post=[message(f"out-{n}")], answer=[answer(name)])
            returned, struck = await cancelled_at(n, lambda: writer.append_many([append]))  # noqa: B023
            history = await store.read_history(story.workflow_id)
            pending = {stored.message.message_id for stored in await store.messages()}
            activities = {row.workflow_id for row in await store.open_activities()}
            timers = {row.workflow_id for row in await store.expired_timers(at(n))}
            parts = {
                "events": list(history) == story.events,
                "no event is missing": bool(history),
                "the message is consumed": name not in pending,
                "a message is posted": f"out-{n}" in pending,
                "an answer is given": await store.fetch_answer(name) is not None,
                "an activity is open": name in activities,
                "a timer is armed": name in timers,
            }
            assert parts == dict.fromkeys(parts, returned)
        assert n > 1

    @pytest.mark.trio
    async def test_a_batch_cancelled_at_any_await_is_whole_or_not_there(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        struck, n = True, 0
        while struck:
            n += 1
            assert n < MOST_AWAITS
            stories = [Story(f"{n}-{part}").started().signals(3) for part in range(20)]
            appends = [story.append() for story in stories]
            returned, struck = await cancelled_at(n, lambda: writer.append_many(appends))  # noqa: B023
            found = [len(await store.read_history(story.workflow_id)) for story in stories]
            assert found == [4 if returned else 0] * 20

    @pytest.mark.trio
    async def test_a_post_cancelled_at_any_await_is_made_if_it_returned(
        self, store: EventStore
    ) -> None:
        struck, n = True, 0
        while struck:
            n += 1
            assert n < MOST_AWAITS
            sent = message(f"m{n}")
            returned, struck = await cancelled_at(n, lambda: store.post(sent))  # noqa: B023
            assert returned == (sent in [stored.message for stored in await store.messages()])

    @pytest.mark.trio
    async def test_a_writer_cancelled_at_any_await_leaves_room_for_another(
        self, store: EventStore
    ) -> None:
        async def write_one(story: Story) -> None:
            async with store.writer() as writer:
                await write(writer, story)

        struck, n = True, 0
        while struck:
            n += 1
            assert n < MOST_AWAITS
            _, struck = await cancelled_at(n, lambda: write_one(Story(f"a{n}").started()))  # noqa: B023
            await write_one(Story(f"b{n}").started())

    @pytest.mark.trio
    @pytest.mark.parametrize("seed", range(3))
    async def test_of_many_appends_the_acknowledged_are_there_and_no_others(
        self, store: EventStore, writer: StoreWriter, seed: int
    ) -> None:
        chance = random.Random(seed)
        acknowledged: set[str] = set()

        async def append(story: Story, scope: trio.CancelScope) -> None:
            with scope:
                await writer.append(story.workflow_id, story.events, 0)
                acknowledged.add(story.workflow_id)

        async def cancel(scope: trio.CancelScope, ticks: int) -> None:
            for _ in range(ticks):
                await trio.lowlevel.checkpoint()
            scope.cancel()

        stories = [Story(str(n)).started().scheduled("a").timer("t", at(n)) for n in range(200)]
        async with trio.open_nursery() as nursery:
            for story in stories:
                scope = trio.CancelScope()
                nursery.start_soon(append, story, scope)
                if chance.random() < 0.8:
                    nursery.start_soon(cancel, scope, chance.randrange(60))
                for _ in range(chance.randrange(4)):
                    await trio.lowlevel.checkpoint()

        for story in stories:
            written = story.events if story.workflow_id in acknowledged else []
            assert list(await store.read_history(story.workflow_id)) == written
        assert {row.workflow_id for row in await store.open_activities()} == acknowledged
        assert {row.workflow_id for row in await store.expired_timers(at(999))} == acknowledged
        assert 0 < len(acknowledged) < len(stories)

    @pytest.mark.trio
    async def test_a_store_stays_usable_when_all_of_its_callers_are_cancelled(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(write, writer, Story(str(number)).started())
                nursery.start_soon(store.list_runs)
                nursery.start_soon(store.post, message(str(number)))
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        story = Story("after").started()
        await write(writer, story)
        assert list(await store.read_history(story.workflow_id)) == story.events

    @pytest.mark.trio
    async def test_closing_in_a_cancelled_scope_leaves_nothing_behind(self, opener: Opener) -> None:
        with trio.CancelScope() as scope:
            async with opener() as store, store.writer() as writer:
                await write(writer, Story().started())
                scope.cancel()
        async with opener() as store, store.writer():
            assert len((await store.list_runs()).runs) == 1
