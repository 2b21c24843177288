"""Reading histories: whole, in pieces, as chains of runs, and as ids that were seen."""

from __future__ import annotations

import pytest

from aion_core.contracts import EventStore, StoreWriter
from aion_core.errors import HistoryShapeError
from aion_core.events import HistoryEvent
from aion_core.history import run_chain
from aion_core.ids import WorkflowId
from aion_core.testing.histories import Story, at, write
from aion_core.testing.store_suite.base import SuiteBase

__all__ = ["HistoryCases"]


class HistoryCases(SuiteBase):
    """Histories are read in order, and no more of them than was asked for."""

    @pytest.mark.trio
    async def test_an_unknown_workflow_has_no_events(self, store: EventStore) -> None:
        assert list(await store.read_history(WorkflowId("nobody"))) == []
        assert list(await store.read_history_from(WorkflowId("nobody"), 1, 10)) == []

    @pytest.mark.trio
    async def test_an_unknown_workflow_has_no_summary(self, store: EventStore) -> None:
        assert await store.read_summary(WorkflowId("nobody")) is None

    @pytest.mark.trio
    @pytest.mark.parametrize(
        ("seq", "limit", "expected"),
        [
            (1, None, [1, 2, 3, 4, 5, 6]),
            (3, None, [3, 4, 5, 6]),
            (6, None, [6]),
            (7, None, []),
            (1, 2, [1, 2]),
            (3, 2, [3, 4]),
            (5, 9, [5, 6]),
            (7, 1, []),
        ],
    )
    async def test_a_history_is_read_from_a_seq_on(
        self,
        store: EventStore,
        writer: StoreWriter,
        seq: int,
        limit: int | None,
        expected: list[int],
    ) -> None:
        story = Story().started().signals(5)
        await write(writer, Story("neighbour").started().signals(9), story)
        found = await store.read_history_from(story.workflow_id, seq, limit)
        assert list(found) == story.of(expected)

    @pytest.mark.trio
    @pytest.mark.parametrize("limit", [0, -1])
    async def test_a_piece_without_events_is_a_mistake(
        self, store: EventStore, writer: StoreWriter, limit: int
    ) -> None:
        await write(writer, Story().started())
        with pytest.raises(ValueError, match="1"):
            await store.read_history_from(WorkflowId("w"), 1, limit)

    @pytest.mark.trio
    async def test_a_history_of_ten_thousand_events_comes_back_in_pieces(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started().signals(9_999)
        await write(writer, story)
        found: list[HistoryEvent] = []
        while piece := await store.read_history_from(story.workflow_id, len(found) + 1, 3_000):
            assert len(piece) <= 3_000
            found += piece
        assert found == story.events

    @pytest.mark.trio
    async def test_a_run_chain_goes_from_the_first_run_to_the_newest(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started(run_id="1")
        for run_id in ("2", "3"):
            story.now = at(story.head)
            story.continued(run_id)
        await write(writer, story.completed())
        chain = await store.read_run_chain(story.workflow_id)
        assert [(run.run_id, run.continued_from) for run in chain] == [
            ("1", None),
            ("2", "1"),
            ("3", "2"),
        ]
        assert list(chain) == run_chain(story.workflow_id, story.events)

    @pytest.mark.trio
    async def test_an_unknown_workflow_has_no_runs(self, store: EventStore) -> None:
        assert list(await store.read_run_chain(WorkflowId("nobody"))) == []

    @pytest.mark.trio
    async def test_runs_that_are_no_chain_are_told(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started(run_id="1").completed().started(run_id="2")
        await write(writer, story)
        with pytest.raises(HistoryShapeError):
            await store.read_run_chain(story.workflow_id)

    @pytest.mark.trio
    async def test_ids_of_signals_and_updates_are_seen(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, Story().started().signal(id="s").update("u").signal())
        assert await store.seen(WorkflowId("w"), ["s", "u", "x"]) == {"s", "u"}

    @pytest.mark.trio
    async def test_only_what_is_asked_for_is_seen(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, Story().started().signal(id="s").signal(id="t"))
        assert await store.seen(WorkflowId("w"), ["t"]) == {"t"}
        assert await store.seen(WorkflowId("w"), []) == frozenset()

    @pytest.mark.trio
    async def test_ids_are_seen_in_every_run(self, store: EventStore, writer: StoreWriter) -> None:
        story = Story().started(run_id="1").signal(id="s").update("u")
        await write(writer, story.continued("2"))
        await write(writer, story.continued("3"))
        assert await store.seen(story.workflow_id, {"s", "u"}) == {"s", "u"}

    @pytest.mark.trio
    async def test_ids_of_another_workflow_are_not_seen(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, Story("other").started().signal(id="s"), Story().started())
        assert await store.seen(WorkflowId("w"), ["s"]) == frozenset()
        assert await store.seen(WorkflowId("nobody"), ["s"]) == frozenset()

    @pytest.mark.trio
    async def test_ids_of_a_refused_append_are_not_seen(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started()
        await write(writer, story)
        story.signal(id="s").cancel_requested("nothing")
        assert (await writer.append_many([story.append()]))[0] is not None
        assert await store.seen(story.workflow_id, ["s"]) == frozenset()

    @pytest.mark.trio
    async def test_many_ids_are_looked_up_at_once(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, Story().started().signal(id="s5"))
        asked = [f"s{number}" for number in range(3_000)]
        assert await store.seen(WorkflowId("w"), asked) == {"s5"}
