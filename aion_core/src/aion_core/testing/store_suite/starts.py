"""Starts that wait: apart from other timers, because there may be very many that are due."""

from __future__ import annotations

import pytest

from aion_core.contracts import DueReason, EventStore, StoreWriter
from aion_core.ids import START_TIMER, RunId, WorkflowId
from aion_core.testing.histories import Story, at, only, write
from aion_core.testing.store_suite.base import SuiteBase

__all__ = ["StartCases"]


def _waiting(name: str, second: float, workflow_type: str = "flow") -> Story:
    """A run whose code begins then, or later."""
    story = Story(name).started(run_id=f"run of {name}", type=workflow_type)
    return story.timer(START_TIMER, at(second))


async def _first(store: EventStore, now: float, **options: object) -> list[str]:
    rows = await store.waiting_starts(at(now), **options)  # type: ignore[arg-type]  # its options
    return [row.workflow_id for row in rows]


class StartCases(SuiteBase):
    """Starts that wait are listed in their order, and runs that have begun without them."""

    @pytest.mark.trio
    async def test_an_empty_store_has_no_starts_that_wait(self, store: EventStore) -> None:
        assert list(await store.waiting_starts(at(9))) == []
        assert list(await store.begun_runs()) == []

    @pytest.mark.trio
    async def test_due_timers_are_listed_with_starts_or_without(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, _waiting("a", 1), Story("b").started().timer("t", at(2)))
        both = [row.workflow_id for row in await store.expired_timers(at(9))]
        apart = [
            [row.workflow_id for row in await store.expired_timers(at(9), starts=starts)]
            for starts in (True, False)
        ]
        assert (both, apart) == (["a", "b"], [["a"], ["b"]])

    @pytest.mark.trio
    async def test_the_next_timer_may_be_that_of_a_start(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, _waiting("a", 1), Story("b").started().timer("t", at(2)))
        assert await store.next_timer(at(0)) == at(1)

    @pytest.mark.trio
    async def test_a_start_that_waits_is_no_due_work(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, _waiting("a", 1), _waiting("b", 1).timer("t", at(1)))
        due = only(await store.due_work(at(9)))
        assert (due.workflow_id, due.reasons) == ("b", (DueReason.TIMER,))

    @pytest.mark.trio
    async def test_a_start_that_waits_is_told_with_its_run_type_and_timer(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, _waiting("a", 1, "kind"))
        row = only(await store.waiting_starts(at(1)))
        told = row.workflow_id, row.run_id, row.workflow_type
        assert told == (WorkflowId("a"), RunId("run of a"), "kind")
        timer = row.timer.timer_id, row.timer.started_seq, row.timer.fire_at
        assert timer == (START_TIMER, 2, at(1))

    @pytest.mark.trio
    async def test_starts_that_wait_come_by_time_then_by_workflow(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        stories = [_waiting(*each) for each in (("c", 2), ("b", 2), ("d", 1), ("a", 3), ("e", 4))]
        await write(writer, *stories)
        assert await _first(store, 3) == ["d", "b", "c", "a"]

    @pytest.mark.trio
    @pytest.mark.parametrize("limit", [1, 2, 3, 9])
    async def test_the_first_starts_that_wait_are_told(
        self, store: EventStore, writer: StoreWriter, limit: int
    ) -> None:
        await write(writer, *(_waiting(name, 1) for name in "cab"))
        assert await _first(store, 1, limit=limit) == ["a", "b", "c"][:limit]

    @pytest.mark.trio
    async def test_starts_are_told_that_have_become_due_since(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, *(_waiting(name, second) for second, name in enumerate("abcd")))
        assert await _first(store, 2, since=at(0)) == ["b", "c"]
        assert await _first(store, 2, since=at(2)) == []

    @pytest.mark.trio
    async def test_starts_of_some_types_are_left_out(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        types = {"a": "one", "b": "two", "c": "three", "d": "two"}
        await write(writer, *(_waiting(name, 1, kind) for name, kind in types.items()))
        assert await _first(store, 1, without=["one", "three"]) == ["b", "d"]
        assert await _first(store, 1, without={"two"}, limit=1) == ["a"]

    @pytest.mark.trio
    @pytest.mark.parametrize("limit", [0, -1])
    async def test_a_page_without_starts_is_a_mistake(self, store: EventStore, limit: int) -> None:
        with pytest.raises(ValueError, match="1"):
            await store.waiting_starts(at(0), limit=limit)

    @pytest.mark.trio
    async def test_a_start_that_waits_in_a_run_that_stands_still_is_left_out(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, _waiting("a", 1).paused(), _waiting("b", 1), _waiting("c", 1))
        await writer.put_stuck(WorkflowId("b"), "no code")
        assert await _first(store, 1) == ["c"]

    @pytest.mark.trio
    async def test_a_start_whose_timer_has_fired_waits_no_more(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, _waiting("a", 1).fired(START_TIMER, 2), _waiting("b", 1).cancelled())
        assert await _first(store, 9) == []

    @pytest.mark.trio
    async def test_runs_have_begun_that_do_not_wait(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(
            writer,
            Story("at once").started(type="kind", at=at(0)).timer("t", at(9)),
            Story("closed").started().completed(),
            Story("fired")
            .started(type="flow", at=at(1))
            .timer(START_TIMER, at(1))
            .fired(START_TIMER, 2),
            _waiting("waits", 1),
            _waiting("waits for long", 999),
        )
        rows = await store.begun_runs()
        assert [(row.workflow_id, row.workflow_type) for row in rows] == [
            ("at once", "kind"),
            ("fired", "flow"),
        ]

    @pytest.mark.trio
    async def test_a_run_that_stands_still_has_begun_unless_its_start_waits(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        names = ("paused", "stuck", "paused early", "stuck early")
        begun = [Story(name).started(type="flow") for name in names[:2]]
        early = [_waiting(name, 1) for name in names[2:]]
        begun[0].paused()
        early[0].paused()
        await write(writer, *begun, *early)
        for name in ("stuck", "stuck early"):
            await writer.put_stuck(WorkflowId(name), "no code")
        assert {row.workflow_id for row in await store.begun_runs()} == {"paused", "stuck"}
