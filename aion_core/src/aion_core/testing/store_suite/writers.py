"""The one writer: who may write, who is refused, who is fenced."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from aion_core.contracts import EventStore, Package, PackageRoute, StoreWriter
from aion_core.errors import FencedError, StoreError, StoreUnavailableError
from aion_core.ids import ActivityId, PackageVersion, RunId, WorkflowId
from aion_core.testing.histories import Opener, Story, at, message, payload, write
from aion_core.testing.store_suite.base import SuiteBase, needs

__all__ = ["WriterCases"]

W = WorkflowId("w")
VERSION = PackageVersion("v")
PACKAGE = Package(workflow_type="order", version=VERSION, archive=b"", deployed_at=at(0))

WRITES: dict[str, Callable[[StoreWriter], Awaitable[object]]] = {
    "append": lambda writer: writer.append(W, Story().signals(3).events[2:], 2),
    "append_many": lambda writer: writer.append_many([]),
    "put_heartbeat": lambda writer: writer.put_heartbeat(
        W, RunId("run"), ActivityId("a"), 1, payload("1")
    ),
    "put_stuck": lambda writer: writer.put_stuck(W, "no code"),
    "put_package": lambda writer: writer.put_package(PACKAGE),
    "put_package_route": lambda writer: writer.put_package_route(PackageRoute("order", VERSION)),
    "delete_package": lambda writer: writer.delete_package("order", VERSION),
    "purge": lambda writer: writer.purge([WorkflowId("nobody")]),
    "forget_answers": lambda writer: writer.forget_answers(at(9)),
}

READS: dict[str, Callable[[EventStore], Awaitable[object]]] = {
    "read_history": lambda store: store.read_history(W),
    "read_history_from": lambda store: store.read_history_from(W, 1),
    "read_summary": lambda store: store.read_summary(W),
    "read_run_chain": lambda store: store.read_run_chain(W),
    "list_runs": lambda store: store.list_runs(),
    "count": lambda store: store.count(),
    "list_active": lambda store: store.list_active(),
    "list_paused": lambda store: store.list_paused(),
    "list_workflow_ids": lambda store: store.list_workflow_ids(),
    "feed": lambda store: store.feed(),
    "due_work": lambda store: store.due_work(at(0)),
    "open_activities": lambda store: store.open_activities(),
    "expired_timers": lambda store: store.expired_timers(at(0)),
    "waiting_starts": lambda store: store.waiting_starts(at(0)),
    "begun_runs": lambda store: store.begun_runs(),
    "next_timer": lambda store: store.next_timer(),
    "seen": lambda store: store.seen(W, ["s"]),
    "limit_starts": lambda store: store.limit_starts("api", at(0)),
    "post": lambda store: store.post(message("m")),
    "messages": lambda store: store.messages(),
    "fetch_answer": lambda store: store.fetch_answer("m"),
    "list_packages": lambda store: store.list_packages(),
    "list_package_routes": lambda store: store.list_package_routes(),
    "stats": lambda store: store.stats(),
    "check": lambda store: store.check(),
    "writer": lambda store: store.writer(takeover=True).__aenter__(),
}


class WriterCases(SuiteBase):
    """Whoever may write is alone, and whoever may no longer is told."""

    @pytest.mark.trio
    async def test_a_store_says_what_its_class_says(self, store: EventStore) -> None:
        assert store.capabilities == self.capabilities

    @pytest.mark.trio
    async def test_a_second_writer_is_refused_and_told_the_holder(self, store: EventStore) -> None:
        async with store.writer():
            with pytest.raises(StoreUnavailableError, match=rf"\b{os.getpid()}\b"):
                async with store.writer():
                    pass

    @pytest.mark.trio
    @needs("multi_process")
    async def test_a_second_writer_through_another_door_is_refused(self, opener: Opener) -> None:
        async with opener() as one, opener() as other, one.writer():
            with pytest.raises(StoreUnavailableError, match=rf"\b{os.getpid()}\b"):
                async with other.writer():
                    pass

    @pytest.mark.trio
    async def test_a_writer_can_follow_another(self, store: EventStore) -> None:
        story = Story().started()
        async with store.writer() as writer:
            await write(writer, story)
        async with store.writer() as writer:
            await write(writer, story.signal())
        assert list(await store.read_history(story.workflow_id)) == story.events

    @pytest.mark.trio
    async def test_a_refused_writer_leaves_the_holder_as_it_was(self, store: EventStore) -> None:
        async with store.writer() as writer:
            with pytest.raises(StoreUnavailableError):
                async with store.writer():
                    pass
            await write(writer, Story().started())

    @pytest.mark.trio
    async def test_a_writer_can_be_had_when_the_former_ended_by_an_error(
        self, store: EventStore
    ) -> None:
        with pytest.raises(LookupError):
            async with store.writer():
                raise LookupError
        async with store.writer() as writer:
            await write(writer, Story().started())

    @pytest.mark.trio
    async def test_a_replaced_writer_is_fenced(self, store: EventStore) -> None:
        story = Story().started()
        async with store.writer() as old:
            await write(old, story)
            async with store.writer(takeover=True) as new:
                story.signal()
                with pytest.raises(FencedError):
                    await old.append(story.workflow_id, story.events[1:], 1)
                assert list(await store.read_history(story.workflow_id)) == story.events[:1]
                await write(new, story)
        assert list(await store.read_history(story.workflow_id)) == story.events

    @pytest.mark.trio
    @needs("multi_process")
    async def test_a_writer_replaced_through_another_door_is_fenced(self, opener: Opener) -> None:
        story = Story().started()
        async with opener() as one, opener() as other, one.writer() as old:
            await write(old, story)
            async with other.writer(takeover=True) as new:
                story.signal()
                with pytest.raises(FencedError):
                    await old.append(story.workflow_id, story.events[1:], 1)
                assert list(await one.read_history(story.workflow_id)) == story.events[:1]
                await write(new, story)
            assert list(await one.read_history(story.workflow_id)) == story.events

    @pytest.mark.trio
    @pytest.mark.parametrize("call", list(WRITES))
    async def test_a_fenced_writer_writes_nothing(self, store: EventStore, call: str) -> None:
        async with store.writer() as old:
            await _prepare(old)
            async with store.writer(takeover=True):
                before = await _everything(store)
                with pytest.raises(FencedError):
                    await WRITES[call](old)
                assert await _everything(store) == before

    @pytest.mark.trio
    async def test_a_fenced_writer_stays_fenced_when_its_successor_has_gone(
        self, store: EventStore
    ) -> None:
        async with store.writer() as old:
            async with store.writer(takeover=True):
                pass
            for _ in range(2):
                with pytest.raises(FencedError):
                    await write(old, Story().started())

    @pytest.mark.trio
    async def test_the_end_of_a_fenced_writer_leaves_its_successor_alone(
        self, store: EventStore
    ) -> None:
        taken_over, old_has_ended = trio.Event(), trio.Event()

        async def successor() -> None:
            async with store.writer(takeover=True) as new:
                taken_over.set()
                await old_has_ended.wait()
                await write(new, Story().started())

        async with trio.open_nursery() as nursery:
            async with store.writer():
                nursery.start_soon(successor)
                await taken_over.wait()
            with pytest.raises(StoreUnavailableError):
                async with store.writer():
                    pass
            old_has_ended.set()

    @pytest.mark.trio
    async def test_a_takeover_where_nobody_writes_is_a_writer_like_any(
        self, store: EventStore
    ) -> None:
        async with store.writer(takeover=True) as writer:
            await write(writer, Story().started())
            with pytest.raises(StoreUnavailableError):
                async with store.writer():
                    pass

    @pytest.mark.trio
    async def test_a_writer_that_was_replaced_may_have_crashed(self, store: EventStore) -> None:
        async with store.writer(), store.writer(takeover=True) as writer:
            assert writer.after_crash

    @pytest.mark.trio
    @pytest.mark.parametrize("call", list(WRITES))
    async def test_a_writer_that_has_ended_writes_no_more(
        self, store: EventStore, call: str
    ) -> None:
        async with store.writer() as writer:
            await _prepare(writer)
        before = await _everything(store)
        with pytest.raises(StoreError):
            await WRITES[call](writer)
        assert await _everything(store) == before

    @pytest.mark.trio
    async def test_an_error_in_the_body_comes_out_as_it_is(self, store: EventStore) -> None:
        error = LookupError("mine")
        with pytest.raises(LookupError) as caught:
            async with store.writer():
                raise error
        assert caught.value is error

    @pytest.mark.trio
    async def test_an_error_in_a_cancelled_body_is_not_lost(self, store: EventStore) -> None:
        with pytest.raises(LookupError), trio.CancelScope() as scope:
            async with store.writer():
                scope.cancel()
                raise LookupError

    @pytest.mark.trio
    async def test_cancelling_the_body_ends_the_writer(self, store: EventStore) -> None:
        with trio.CancelScope() as scope:
            async with store.writer():
                scope.cancel()
                await trio.sleep_forever()
        assert scope.cancelled_caught
        async with store.writer() as writer:
            await write(writer, Story().started())

    @pytest.mark.trio
    async def test_appends_under_way_at_the_end_of_the_writer_are_answered(
        self, store: EventStore
    ) -> None:
        stories = [Story(str(number)).started() for number in range(10)]
        async with trio.open_nursery() as nursery, store.writer() as writer:
            for story in stories:
                nursery.start_soon(write, writer, story)
            await trio.testing.wait_all_tasks_blocked()
        for story in stories:
            assert list(await store.read_history(story.workflow_id)) == story.events

    @pytest.mark.trio
    @pytest.mark.parametrize("call", list(READS))
    async def test_every_call_of_a_store_is_a_checkpoint(
        self, store: EventStore, writer: StoreWriter, call: str
    ) -> None:
        await write(writer, Story().started())
        with trio.CancelScope() as scope:
            scope.cancel()
            await READS[call](store)
        assert scope.cancelled_caught
        assert list(await store.messages()) == []
        # Nor has another writer taken over.
        await write(writer, Story("other").started())

    @pytest.mark.trio
    @pytest.mark.parametrize("call", list(WRITES))
    async def test_every_call_of_a_writer_is_a_checkpoint(
        self, store: EventStore, writer: StoreWriter, call: str
    ) -> None:
        await _prepare(writer)
        before = await _everything(store)
        with trio.CancelScope() as scope:
            scope.cancel()
            await WRITES[call](writer)
        assert scope.cancelled_caught
        assert await _everything(store) == before


async def _prepare(writer: StoreWriter) -> None:
    """What all of `WRITES` could be done to."""
    await write(writer, Story().started().scheduled("a"))
    await writer.put_package(PACKAGE)


async def _everything(store: EventStore) -> list[object]:
    return [
        list(await store.feed()),
        list((await store.list_runs()).runs),
        list(await store.open_activities()),
        list(await store.messages()),
        list(await store.list_packages()),
        list(await store.list_package_routes()),
    ]
