"""Lists of workflows: their order, their pages, and what filters leave of them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from aion_core.contracts import EventStore, RunFilter, StoreWriter
from aion_core.failures import Failure
from aion_core.ids import WorkflowId
from aion_core.status import WorkflowStatus
from aion_core.testing.histories import Story, all_runs, at, only, write
from aion_core.testing.store_suite.base import SuiteBase
from aion_core.values import AttributeValue

__all__ = ["ListingCases"]

VALUES: Mapping[str, AttributeValue] = {
    "text": "1",
    "other text": "1 ",
    "empty": "",
    "int": 1,
    "zero": 0,
    "negative": -1,
    "long": 2**53 + 1,
    "longer": 2**70,
    "float": 1.5,
    "tiny": 5e-324,
    "true": True,
    "false": False,
    "instant": at(1.000001),
    "next instant": at(1.000002),
    "list": ("a", "b"),
    "other list": ("b", "a"),
    "empty list": (),
}
"""One workflow each has them as its attribute ``value``. No two are equal, as filters have it."""


async def _found(store: EventStore, filter: RunFilter) -> set[str]:
    return {run.workflow_id for run in (await store.list_runs(filter)).runs}


class ListingCases(SuiteBase):
    """Every list is complete, in one order, and its filters mean what `RunFilter.matches` says."""

    @pytest.mark.trio
    async def test_an_empty_store_has_nothing_to_list(self, store: EventStore) -> None:
        page = await store.list_runs()
        assert (list(page.runs), page.cursor) == ([], None)
        assert await store.count() == 0

    @pytest.mark.trio
    async def test_runs_are_listed_newest_first_then_by_id(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        starts = {"b": 1, "a": 1, "\N{PILE OF POO}": 1, "\uffff": 1, "old": 0, "new": 2}
        for name, second in starts.items():
            await write(writer, Story(name).started(at=at(second)))
        expected = ["new", "a", "b", "\uffff", "\N{PILE OF POO}", "old"]
        assert [run.workflow_id for run in (await store.list_runs()).runs] == expected

    @pytest.mark.trio
    async def test_a_listed_run_is_its_summary(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started(attributes={"a": 1}).scheduled("x").activity_failed("x", 5)
        await write(writer, story)
        await writer.put_stuck(story.workflow_id, "no code")
        listed = only((await store.list_runs()).runs)
        assert listed == await store.read_summary(story.workflow_id)

    @pytest.mark.trio
    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 20, 21, 100])
    async def test_pages_have_neither_gaps_nor_repeats(
        self, store: EventStore, writer: StoreWriter, limit: int
    ) -> None:
        stories = [Story(f"{n:02}").started(at=at(n // 5)) for n in range(20)]
        await write(writer, *stories)
        listed = [run.workflow_id for run in (await store.list_runs()).runs]
        assert sorted(listed) == [story.workflow_id for story in stories]
        assert await all_runs(store, limit) == listed

    @pytest.mark.trio
    @pytest.mark.parametrize("limit", [1, 3, 10])
    async def test_pages_of_a_filtered_list_have_neither_gaps_nor_repeats(
        self, store: EventStore, writer: StoreWriter, limit: int
    ) -> None:
        stories = [
            Story(f"{n:02}").started(at=at(n // 5), type="odd" if n % 2 else "even")
            for n in range(20)
        ]
        await write(writer, *stories)
        odd = RunFilter(workflow_type="odd")
        listed = [run.workflow_id for run in (await store.list_runs(odd)).runs]
        assert sorted(listed) == [f"{n:02}" for n in range(1, 20, 2)]
        assert await all_runs(store, limit, odd) == listed

    @pytest.mark.trio
    async def test_a_run_that_starts_meanwhile_moves_no_page(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        for number in range(6):
            await write(writer, Story(str(number)).started(at=at(number)))
        first = await store.list_runs(limit=3)
        await write(writer, Story("newer").started(at=at(9)))
        second = await store.list_runs(limit=3, cursor=first.cursor)
        found = [run.workflow_id for run in (*first.runs, *second.runs)]
        assert found == ["5", "4", "3", "2", "1", "0"]
        assert second.cursor is None

    @pytest.mark.trio
    async def test_a_run_that_closes_meanwhile_moves_no_page(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        stories = [Story(str(number)).started(at=at(number)) for number in range(6)]
        await write(writer, *stories)
        running = RunFilter(status=WorkflowStatus.RUNNING)
        first = await store.list_runs(running, limit=2)
        # Before the cursor, at it, and behind it.
        await write(writer, *(stories[number].completed() for number in (5, 4, 2)))
        second = await store.list_runs(running, limit=9, cursor=first.cursor)
        found = [run.workflow_id for run in (*first.runs, *second.runs)]
        assert found == ["5", "4", "3", "1", "0"]

    @pytest.mark.trio
    @pytest.mark.parametrize("limit", [0, -1])
    async def test_a_page_without_rows_is_a_mistake(self, store: EventStore, limit: int) -> None:
        with pytest.raises(ValueError, match="1"):
            await store.list_runs(limit=limit)

    @pytest.mark.trio
    @pytest.mark.parametrize(
        "cursor",
        ["", "nonsense", "e30=", "WzEsMl0=", "WyJhIiwiYiJd", "\ud800", "WzFlOTk5LCAiIl0="],
    )
    async def test_a_foreign_cursor_is_a_mistake(self, store: EventStore, cursor: str) -> None:
        with pytest.raises(ValueError, match="cursor"):
            await store.list_runs(cursor=cursor)

    @pytest.mark.trio
    @pytest.mark.parametrize("status", list(WorkflowStatus))
    async def test_a_status_is_filtered(
        self, store: EventStore, writer: StoreWriter, status: WorkflowStatus
    ) -> None:
        await write(writer, *_in_every_status())
        assert await _found(store, RunFilter(status=status)) == {status.value}

    @pytest.mark.trio
    async def test_active_workflows_are_those_that_run_oldest_first(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, Story("b").started(at=at(2)), Story("a").started(at=at(2)))
        await write(writer, Story("c").started(at=at(1)), *_in_every_status())
        assert list(await store.list_active()) == ["Running", "c", "a", "b"]

    @pytest.mark.trio
    async def test_paused_workflows_are_listed_oldest_first(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        resumed = Story("resumed").started().paused().resumed()
        await write(writer, Story("b").started(at=at(2)).paused(), resumed)
        await write(writer, Story("a").started(at=at(2)).paused(), *_in_every_status())
        assert list(await store.list_paused()) == ["Paused", "a", "b"]

    @pytest.mark.trio
    async def test_all_workflows_are_listed_oldest_first(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, Story("b").started(at=at(2)), Story("a").started(at=at(2)).failed())
        await write(writer, Story("c").started(at=at(1)).paused())
        assert list(await store.list_workflow_ids()) == ["c", "a", "b"]

    @pytest.mark.trio
    async def test_a_type_is_filtered_as_a_whole(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        types = ["order", "Order", "orders", "an order"]
        await write(writer, *(Story(each).started(type=each) for each in types))
        assert await _found(store, RunFilter(workflow_type="order")) == {"order"}

    @pytest.mark.trio
    async def test_bounds_of_the_start_are_inclusive(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, *(Story(str(n)).started(at=at(n)) for n in range(5)))
        assert await _found(store, RunFilter(started_from=at(3))) == {"3", "4"}
        assert await _found(store, RunFilter(started_to=at(1))) == {"0", "1"}
        both = RunFilter(started_from=at(1), started_to=at(2))
        assert await _found(store, both) == {"1", "2"}

    @pytest.mark.trio
    async def test_bounds_of_the_end_are_inclusive_and_leave_out_open_runs(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        stories = [Story(str(n)).started() for n in range(6)]
        for n, story in enumerate(stories[:5]):
            story.now = at(n)
            story.completed()
        await write(writer, *stories)
        assert await _found(store, RunFilter(closed_from=at(3))) == {"3", "4"}
        assert await _found(store, RunFilter(closed_to=at(1))) == {"0", "1"}
        both = RunFilter(closed_from=at(1), closed_to=at(2))
        assert await _found(store, both) == {"1", "2"}

    @pytest.mark.trio
    async def test_stuck_runs_are_filtered(self, store: EventStore, writer: StoreWriter) -> None:
        await write(writer, Story("stuck").started(), Story("free").started())
        await writer.put_stuck(WorkflowId("stuck"), "no code")
        assert await _found(store, RunFilter(stuck=True)) == {"stuck"}
        assert await _found(store, RunFilter(stuck=False)) == {"free"}

    @pytest.mark.trio
    @pytest.mark.parametrize("name", list(VALUES))
    async def test_a_value_of_an_attribute_finds_itself_only(
        self, store: EventStore, writer: StoreWriter, name: str
    ) -> None:
        await write(
            writer,
            Story("without").started(),
            *(Story(each).started(attributes={"value": VALUES[each]}) for each in VALUES),
        )
        assert await _found(store, RunFilter(attributes={"value": VALUES[name]})) == {name}

    @pytest.mark.trio
    async def test_a_whole_number_is_found_as_a_float(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(
            writer,
            Story("int").started(attributes={"n": 2}),
            Story("float").started(attributes={"n": 2.0}),
        )
        assert await _found(store, RunFilter(attributes={"n": 2})) == {"int", "float"}
        assert await _found(store, RunFilter(attributes={"n": 2.0})) == {"int", "float"}

    @pytest.mark.trio
    async def test_a_bool_is_no_number(self, store: EventStore, writer: StoreWriter) -> None:
        await write(
            writer,
            Story("int").started(attributes={"n": 1}),
            Story("bool").started(attributes={"n": True}),
        )
        assert await _found(store, RunFilter(attributes={"n": True})) == {"bool"}
        assert await _found(store, RunFilter(attributes={"n": 1})) == {"int"}
        assert await _found(store, RunFilter(attributes={"n": 1.0})) == {"int"}

    @pytest.mark.trio
    async def test_all_attributes_of_a_filter_must_be_so(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(
            writer,
            Story("both").started(attributes={"a": 1, "b": "x"}),
            Story("one").started(attributes={"a": 1}),
            Story("other").started(attributes={"a": 1, "b": "y"}),
        )
        assert await _found(store, RunFilter(attributes={"a": 1, "b": "x"})) == {"both"}

    @pytest.mark.trio
    async def test_a_merged_attribute_is_found_by_its_last_value(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started(attributes={"a": 1, "b": 1})
        await write(writer, story)
        await write(writer, story.attributes(a=2, b=None, c=3))
        assert await _found(store, RunFilter(attributes={"a": 2, "c": 3})) == {"w"}
        assert await _found(store, RunFilter(attributes={"a": 1})) == set()
        assert await _found(store, RunFilter(attributes={"b": 1})) == set()

    @pytest.mark.trio
    async def test_attributes_of_the_former_run_are_not_found(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started(run_id="1", attributes={"a": 1})
        await write(writer, story)
        await write(writer, story.continued("2").attributes(b=2))
        assert await _found(store, RunFilter(attributes={"a": 1})) == set()
        assert await _found(store, RunFilter(attributes={"b": 2})) == {"w"}

    @pytest.mark.trio
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("%", {"100%"}),
            ("_", {"a_b"}),
            ("'", {"it's"}),
            ('"', {'say "x"'}),
            ("\\", {"back\\slash"}),
            ("*", {"a*b"}),
            ("[a]", {"[a]"}),
            ("' OR '1'='1", set()),
            ("ORDER", set()),
            ("rde", {"100%", "a_b", "it's", 'say "x"', "back\\slash", "a*b", "[a]"}),
            ("Declined: no mo", {"it's"}),
            ("", {"100%", "a_b", "it's", 'say "x"', "back\\slash", "a*b", "[a]"}),
        ],
    )
    async def test_a_text_is_looked_for_as_it_stands(
        self, store: EventStore, writer: StoreWriter, text: str, expected: set[str]
    ) -> None:
        names = ["100%", "a_b", "it's", 'say "x"', "back\\slash", "a*b", "[a]"]
        stories = {name: Story(name).started() for name in names}
        stories["it's"].failed()
        await write(writer, *stories.values())
        assert await _found(store, RunFilter(text=text)) == expected

    @pytest.mark.trio
    async def test_what_has_no_pages_is_listed_whole(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        # More than a page has rows where nobody says how many.
        stories = [Story(f"{n:04}").started().scheduled("a").timer("t", at(1)) for n in range(1100)]
        await write(writer, *stories)
        ids = [story.workflow_id for story in stories]
        assert list(await store.list_active()) == ids
        assert list(await store.list_workflow_ids()) == ids
        assert [row.workflow_id for row in await store.expired_timers(at(1))] == ids
        assert [run.workflow_id for run in await store.due_work(at(0))] == ids
        assert await store.count() == 1100

    @pytest.mark.trio
    async def test_the_count_is_the_length_of_the_list(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        stories = _in_every_status()
        await write(writer, *stories, *(Story(n).started(at=at(5), type="x") for n in VALUES))
        await writer.put_stuck(WorkflowId("Running"), "no code")
        for wanted, expected in (
            (RunFilter(), len(stories) + len(VALUES)),
            (RunFilter(workflow_type="x"), len(VALUES)),
            (RunFilter(status=WorkflowStatus.FAILED), 1),
            (RunFilter(status=WorkflowStatus.FAILED, workflow_type="x"), 0),
            (RunFilter(stuck=True), 1),
            (RunFilter(started_from=at(5)), len(VALUES)),
            (RunFilter(text="u"), 5),
        ):
            listed = await all_runs(store, 4, wanted)
            assert await store.count(wanted) == len(listed) == expected

    @pytest.mark.trio
    async def test_all_that_a_filter_says_must_be_so(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        def story(name: str, at_: float = 1, type: str = "order", value: int = 1) -> Story:
            return Story(name).started(at=at(at_), type=type, attributes={"n": value})

        error = Failure(type="E", message="m")
        await write(
            writer,
            story("right one").failed(error),
            story("right open"),
            story("right early", at_=0).failed(error),
            story("right typed", type="x").failed(error),
            story("right valued", value=2).failed(error),
            story("wrong").failed(error),
        )
        wanted = RunFilter(
            workflow_type="order",
            status=WorkflowStatus.FAILED,
            stuck=False,
            started_from=at(1),
            closed_to=at(1),
            attributes={"n": 1},
            text="right",
        )
        assert await _found(store, wanted) == {"right one"}


def _in_every_status() -> list[Story]:
    """A story in each status, named by it."""
    continued = Story("ContinuedAsNew").started().continued("2")
    continued.events.pop()
    return [
        Story("Running").started(),
        Story("Paused").started().paused(),
        Story("Completed").started().completed(),
        Story("Failed").started().failed(),
        Story("Cancelled").started().cancelled(),
        Story("Terminated").started().terminated(),
        Story("TimedOut").started().timed_out(),
        continued,
    ]
