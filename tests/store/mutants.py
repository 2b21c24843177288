"""Stores with one defect each, such as a store's author might make, and the case that finds it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from aion_core.contracts import (
    EventStore,
    StoreCapabilities,
)
from aion_core.testing.store_suite import Opener, StoreSuite
from aion_core.testing.store_suite.side_by_side import Step
from aion_core.testing.store_suite.stateful import drive_side_by_side, lives
from aion_store_memory.store import MemoryStore
from tests.store.mutants_reading import (
    DropsTheLastMessageOfAPage,
    ExpiresTooLate,
    FeedsByTime,
    FeedsWhatIsNumbered,
    ForgetsFormerRuns,
    ForgetsToSayWhoIsStuck,
    ForgetsToSettleTimers,
    KeepsHeartbeats,
    LeavesOutTheBound,
    ListsOnePageOfIds,
    ListsWorkOfPausedRuns,
    ListsWorkOfStuckRuns,
    PagesByOffset,
    ReadsWithoutACheckpoint,
    ReplacesAttributes,
    SortsEqualTimersByWorkflow,
    SplicesTextIntoLike,
    TakesBoolsForNumbers,
)
from tests.store.mutants_writing import (
    ConsumesForOthers,
    CutsAppendsInTwo,
    DropsWhatChangesNothing,
    GivesPlacesAgain,
    KeepsTheFirstAnswer,
    KeepsTheLastPost,
    PostsBeforeItConsumes,
    PostsBesideTheAppend,
    PostsWhatWasAnswered,
    PurgesOneByOne,
    PurgesOpenWorkflows,
    PurgesStarts,
    PurgesTheMailbox,
    RefusesTheWholeBatch,
    ReservesPlaces,
    SwallowsConflicts,
    TakesHeartbeatsOfAnyAttempt,
    WritesThoughFenced,
)

MUTANTS: dict[type[MemoryStore], str] = {
    ForgetsToSettleTimers: "test_the_end_of_a_run_settles_its_timers",
    ExpiresTooLate: "test_a_timer_is_due_at_its_very_instant",
    SortsEqualTimersByWorkflow: "test_due_timers_come_by_time_then_by_start",
    PostsBesideTheAppend: "test_events_that_cannot_follow_leave_their_messages_as_they_were",
    SwallowsConflicts: "test_another_head_is_a_conflict_that_names_both",
    DropsWhatChangesNothing: "test_changes_that_come_with_their_events_make_no_difference",
    RefusesTheWholeBatch: "test_a_conflict_in_a_batch_fails_alone",
    WritesThoughFenced: "test_a_replaced_writer_is_fenced",
    CutsAppendsInTwo: "test_an_append_cancelled_at_any_await_is_whole_or_not_there",
    TakesHeartbeatsOfAnyAttempt: "test_a_heartbeat_of_something_else_is_dropped",
    PurgesOpenWorkflows: "test_an_open_workflow_is_not_purged",
    PurgesStarts: "test_starts_under_a_rate_limit_stay_when_their_workflow_is_purged",
    PurgesTheMailbox: "test_what_waits_for_a_purged_workflow_stays_and_so_do_answers",
    PurgesOneByOne: "test_an_open_workflow_keeps_the_others_from_being_purged",
    KeepsTheLastPost: "test_a_message_posted_twice_is_one",
    PostsWhatWasAnswered: "test_a_message_with_an_answer_is_not_posted_again",
    PostsBeforeItConsumes: "test_a_message_can_be_posted_again_where_it_is_consumed",
    KeepsTheFirstAnswer: "test_of_two_answers_to_one_message_the_last_is_kept",
    ConsumesForOthers: "test_a_message_to_another_workflow_cannot_be_consumed",
    GivesPlacesAgain: "test_positions_of_messages_ascend_and_are_never_given_twice",
    PagesByOffset: "test_a_run_that_starts_meanwhile_moves_no_page",
    ListsOnePageOfIds: "test_what_has_no_pages_is_listed_whole",
    TakesBoolsForNumbers: "test_a_bool_is_no_number",
    SplicesTextIntoLike: "test_a_text_is_looked_for_as_it_stands",
    LeavesOutTheBound: "test_bounds_of_the_start_are_inclusive",
    FeedsByTime: "test_events_stand_in_the_feed_in_the_order_of_their_commits",
    FeedsWhatIsNumbered: "test_a_position_is_never_given_twice",
    ReservesPlaces: "test_the_feed_has_no_gaps_while_events_are_appended",
    ForgetsFormerRuns: "test_ids_are_seen_in_every_run",
    KeepsHeartbeats: "test_a_heartbeat_goes_with_the_outcome",
    ListsWorkOfPausedRuns: "test_a_paused_run_has_nothing_due",
    ListsWorkOfStuckRuns: "test_a_stuck_run_has_no_rows_due",
    ForgetsToSayWhoIsStuck: "test_a_stuck_run_is_due_for_that_alone",
    ReplacesAttributes: "test_attributes_are_merged_and_none_removes",
    DropsTheLastMessageOfAPage: "test_messages_come_in_pages",
    ReadsWithoutACheckpoint: "test_every_call_of_a_store_is_a_checkpoint",
}
"""Each mutant, and the one case that must kill it."""

BY_MODEL = (ReplacesAttributes, FeedsByTime, PostsWhatWasAnswered)
"""Mutants that the model finds, too, without being told what to look for."""

UNTOUCHED = (
    "test_events_come_back_as_they_were_written",
    "test_a_history_is_read_from_a_seq_on",
    "test_a_closed_workflow_has_its_end",
    "test_a_writer_can_follow_another",
    "test_an_answer_stays_when_it_is_fetched",
    "test_a_package_comes_back_as_it_was",
)
"""Cases that every mutant passes: none of them is merely broken."""


class MutantSuite(StoreSuite):
    capabilities = StoreCapabilities(persistent=False, multi_process=False)
    store_class: ClassVar[type[MemoryStore]]

    @pytest.fixture
    def opener(self) -> Opener:
        store = self.store_class()

        @asynccontextmanager
        async def open_mutant() -> AsyncIterator[EventStore]:
            yield store

        return open_mutant

    @given(life=lives)
    @settings(
        max_examples=30,
        deadline=None,
        derandomize=True,
        # That it fails is enough: the smallest example would take long to find.
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def test_a_store_says_what_its_model_says(
        self, opener: Opener, life: Sequence[Sequence[Step]]
    ) -> None:
        drive_side_by_side(opener, life)


def suite_name(store: type[MemoryStore]) -> str:
    return f"Test{store.__name__}"


def suites() -> dict[str, type[MutantSuite]]:
    """The suite of each mutant, and of the original, by name."""
    stores: list[type[MemoryStore]] = [MemoryStore, *MUTANTS]
    return {
        suite_name(store): type(suite_name(store), (MutantSuite,), {"store_class": store})
        for store in stores
    }
