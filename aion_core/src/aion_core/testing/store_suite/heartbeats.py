"""Heartbeats: the last details of an attempt, for the attempt that may follow."""

from __future__ import annotations

import pytest

from aion_core.contracts import EventStore, StoreWriter
from aion_core.events import ReopenedActivity
from aion_core.ids import ActivityId, RunId, WorkflowId
from aion_core.testing.histories import Story, at, only, payload, write
from aion_core.testing.store_suite.base import SuiteBase

__all__ = ["HeartbeatCases"]

A = ActivityId("a")
RUN = RunId("run")
W = WorkflowId("w")


async def _heartbeat(store: EventStore) -> object:
    row = only(await store.open_activities())
    return row.heartbeat


class HeartbeatCases(SuiteBase):
    """Details are kept as long as their activity is open, and for it alone."""

    @pytest.mark.trio
    async def test_a_heartbeat_is_on_its_activity_and_the_last_wins(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, Story().started().scheduled("a"))
        assert await _heartbeat(store) is None
        await writer.put_heartbeat(W, RUN, A, 1, payload("1"))
        await writer.put_heartbeat(W, RUN, A, 1, payload("2"))
        assert await _heartbeat(store) == payload("2")

    @pytest.mark.trio
    async def test_a_heartbeat_stays_for_the_next_attempt(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started().scheduled("a")
        await write(writer, story)
        await writer.put_heartbeat(W, RUN, A, 1, payload("1"))
        await write(writer, story.activity_failed("a", next_attempt_at=at(1)))
        assert await _heartbeat(store) == payload("1")

    @pytest.mark.trio
    @pytest.mark.parametrize(
        ("workflow_id", "run_id", "activity_id", "attempt"),
        [
            ("nobody", "run", "a", 2),
            ("w", "other run", "a", 2),
            ("w", "run", "b", 2),
            ("w", "run", "a", 1),
            ("w", "run", "a", 3),
        ],
    )
    async def test_a_heartbeat_of_something_else_is_dropped(
        self,
        store: EventStore,
        writer: StoreWriter,
        workflow_id: str,
        run_id: str,
        activity_id: str,
        attempt: int,
    ) -> None:
        story = Story().started().scheduled("a").activity_failed("a", next_attempt_at=at(1))
        await write(writer, story)
        await writer.put_heartbeat(
            WorkflowId(workflow_id), RunId(run_id), ActivityId(activity_id), attempt, payload("1")
        )
        assert await _heartbeat(store) is None
        await write(writer, story.scheduled("b"))
        assert [row.heartbeat for row in await store.open_activities()] == [None, None]

    @pytest.mark.trio
    async def test_a_heartbeat_goes_with_the_outcome(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started().scheduled("a")
        await write(writer, story)
        await writer.put_heartbeat(W, RUN, A, 1, payload("1"))
        await write(writer, story.activity_completed("a").scheduled("a"))
        assert await _heartbeat(store) is None

    @pytest.mark.trio
    async def test_a_heartbeat_goes_with_the_run(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started(run_id="run").scheduled("a")
        await write(writer, story)
        await writer.put_heartbeat(W, RUN, A, 1, payload("1"))
        await write(writer, story.continued("2").scheduled("a"))
        assert await _heartbeat(store) is None

    @pytest.mark.trio
    async def test_a_heartbeat_does_not_come_back_with_a_reopened_run(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started().scheduled("a")
        await write(writer, story)
        await writer.put_heartbeat(W, RUN, A, 1, payload("1"))
        await write(writer, story.failed())
        again = ReopenedActivity(activity_id=A, activity_type="charge", scheduled_seq=2, attempt=2)
        await write(writer, story.reopened(3, [again]))
        assert await _heartbeat(store) is None
