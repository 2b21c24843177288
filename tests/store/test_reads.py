"""Reading lists, by every store: order, bounds and pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest
import trio

from aion_core.contracts import EventStore, StoreWriter

if TYPE_CHECKING:
    from tests.store.conftest import Kit


async def test_an_empty_store_has_nothing_to_list(store: EventStore, kit: Kit) -> None:
    page = await store.list_runs()
    assert (list(page.runs), page.cursor) == ([], None)
    assert list(await store.open_activities()) == []
    assert list(await store.expired_timers(kit.at(0))) == []
    assert await store.next_timer() is None


async def test_runs_are_listed_newest_first_then_by_id(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    starts = {"b": 1, "a": 1, "\N{PILE OF POO}": 1, "\uffff": 1, "old": 0, "new": 2}
    for name, second in starts.items():
        await kit.write(writer, kit.Story(name).started(started_at=kit.at(second)))
    expected = ["new", "a", "b", "\uffff", "\N{PILE OF POO}", "old"]
    assert [run.workflow_id for run in (await store.list_runs()).runs] == expected


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 20, 21, 100])
async def test_pages_have_neither_gaps_nor_repeats(
    store: EventStore, writer: StoreWriter, kit: Kit, limit: int
) -> None:
    stories = [kit.Story(f"{n:02}").started(started_at=kit.at(n // 5)) for n in range(20)]
    await kit.write(writer, *stories)
    listed = [run.workflow_id for run in (await store.list_runs()).runs]
    assert sorted(listed) == [story.workflow_id for story in stories]
    assert await kit.all_runs(store, limit) == listed


async def test_a_run_that_starts_meanwhile_moves_no_page(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    for number in range(6):
        await kit.write(writer, kit.Story(str(number)).started(started_at=kit.at(number)))
    first = await store.list_runs(limit=3)
    await kit.write(writer, kit.Story("newer").started(started_at=kit.at(9)))
    second = await store.list_runs(limit=3, cursor=first.cursor)
    found = [run.workflow_id for run in (*first.runs, *second.runs)]
    assert found == ["5", "4", "3", "2", "1", "0"]
    assert second.cursor is None


@pytest.mark.parametrize("limit", [0, -1])
async def test_a_page_without_rows_is_a_mistake(store: EventStore, limit: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        await store.list_runs(limit=limit)
    with pytest.raises(ValueError, match="at least 1"):
        await store.open_activities(limit=limit)


@pytest.mark.parametrize(
    "cursor", ["", "nonsense", "e30=", "WzEsMl0=", "WyJhIiwiYiJd", "\ud800", "WzFlOTk5LCAiIl0="]
)
async def test_a_foreign_cursor_is_a_mistake(store: EventStore, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        await store.list_runs(cursor=cursor)


async def test_open_activities_come_by_workflow_then_by_start(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    stories = [kit.Story(name).started() for name in ("b", "a", "c")]
    for story in stories:
        for activity in ("z", "y", "x"):
            story.scheduled(activity)
    await kit.write(writer, *stories)
    rows = await store.open_activities()
    assert [(row.workflow_id, row.activity.activity_id) for row in rows] == [
        (workflow, activity) for workflow in "abc" for activity in "zyx"
    ]


@pytest.mark.parametrize("limit", [1, 2, 4, 9, 10])
async def test_open_activities_come_in_pages(
    store: EventStore, writer: StoreWriter, kit: Kit, limit: int
) -> None:
    stories = [kit.Story(name).started() for name in "abc"]
    for story in stories:
        story.scheduled("0").scheduled("1").scheduled("2")
    await kit.write(writer, *stories)
    everything = list(await store.open_activities())
    paged = list(await store.open_activities(limit=limit))
    while True:
        last = paged[-1]
        page = await store.open_activities(
            after=(last.workflow_id, last.activity.scheduled_seq), limit=limit
        )
        assert len(page) <= limit
        if not page:
            break
        paged += page
    assert paged == everything


async def test_a_timer_is_due_at_its_very_instant(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    await kit.write(writer, kit.Story().started().timer("t", kit.at(1.000001)))
    assert list(await store.expired_timers(kit.at(1))) == []
    (row,) = await store.expired_timers(kit.at(1.000001))
    assert row.timer.fire_at == kit.at(1.000001)


async def test_due_timers_come_by_time_then_by_start(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    b = kit.Story("b").started().timer("late", kit.at(3)).timer("1", kit.at(2))
    a = kit.Story("a").started().signal().signal().timer("2", kit.at(2)).timer("0", kit.at(1))
    c = kit.Story("c").started().timer("3", kit.at(1))
    await kit.write(writer, b, a, c)
    due = await store.expired_timers(kit.at(2))
    assert [(row.workflow_id, row.timer.timer_id) for row in due] == [
        ("c", "3"),
        ("a", "0"),
        ("b", "1"),
        ("a", "2"),
    ]


async def test_the_next_timer_is_the_earliest_later_than_asked(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    story = kit.Story().started().timer("b", kit.at(2)).timer("a", kit.at(1))
    await kit.write(writer, story)
    assert await store.next_timer() == kit.at(1)
    assert await store.next_timer(kit.at(0)) == kit.at(1)
    assert await store.next_timer(kit.at(1)) == kit.at(2)
    assert await store.next_timer(kit.at(2)) is None


async def test_instants_of_any_age_are_kept_to_the_microsecond(
    store: EventStore, writer: StoreWriter, kit: Kit
) -> None:
    early = kit.at(0).replace(year=1, microsecond=1)
    late = kit.at(0).replace(year=9999, microsecond=999_999)
    story = kit.Story().started().timer("early", early).timer("late", late)
    await kit.write(writer, story)
    assert [row.timer.fire_at for row in await store.expired_timers(late)] == [early, late]
    assert await store.next_timer(kit.at(0)) == late


async def test_every_call_is_a_checkpoint(store: EventStore, writer: StoreWriter, kit: Kit) -> None:
    story = kit.Story().started()
    await kit.write(writer, story)
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: store.read_history(story.workflow_id),
        lambda: store.read_summary(story.workflow_id),
        store.list_runs,
        store.open_activities,
        lambda: store.expired_timers(kit.at(0)),
        store.next_timer,
        lambda: writer.append_many([story.signal().append()]),
        lambda: writer.append_many([]),
        lambda: writer.append(story.workflow_id, [], 1),
        lambda: store.writer(takeover=True).__aenter__(),
    ]
    for call in calls:
        with trio.CancelScope() as scope:
            scope.cancel()
            await call()
        assert scope.cancelled_caught
    assert list(await store.read_history(story.workflow_id)) == story.events[:1]
