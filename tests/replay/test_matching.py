"""The one matching rule: every anchored command, what it leaves, and what it stands for."""

import attrs
import pytest

from aion_core import commands as c
from aion_core import events as e
from aion_core.ids import RunId, WorkflowId
from aion_core.payloads import Payload
from aion_core.policies import ActivityOptions
from aion_core.replay import describe, intent_of, same_intent
from tests.machine.driver import CONVERTER, W, at
from tests.replay.histories import (
    DECLINED,
    NEXT,
    NOTHING,
    cancel,
    cancel_timer,
    complete,
    fail,
    other_error,
    run,
    spawn,
    start_timer,
    value,
)

SEND = c.SendSignal("signal:0", WorkflowId("other"), "go", NOTHING)
MARK = c.RecordMarker("aion.side_effect", "marker:0", NOTHING)

ANCHORED: list[tuple[c.AnchoredCommand, type[e.HistoryEvent]]] = [
    (run(), e.ActivityScheduled),
    (cancel(), e.ActivityCancelRequested),
    (start_timer(), e.TimerStarted),
    (cancel_timer(), e.TimerCancelled),
    (spawn(), e.ChildWorkflowStarted),
    (c.CancelChild(spawn().child_key), e.ChildCancelRequested),
    (SEND, e.SignalSent),
    (MARK, e.MarkerRecorded),
    (c.UpdateSearchAttributes("attributes:0", {"city": "Ulm"}), e.SearchAttributesUpdated),
    (c.CompleteUpdate("u-1", NOTHING), e.UpdateCompleted),
    (c.FailUpdate("u-1", DECLINED), e.UpdateFailed),
    (complete(), e.WorkflowCompleted),
    (fail(), e.WorkflowFailed),
    (c.CancelWorkflow("enough"), e.WorkflowCancelled),
    (c.ContinueAsNew(NOTHING, NEXT), e.WorkflowContinuedAsNew),
]
each = pytest.mark.parametrize(
    ("command", "recorded_by"), ANCHORED, ids=[type(command).__name__ for command, _ in ANCHORED]
)


def recorded(command: c.AnchoredCommand) -> e.HistoryEvent:
    return intent_of(command, 2, at(2), W)


def test_every_anchored_command_is_here() -> None:
    assert {type(command) for command, _ in ANCHORED} == set(c.AnchoredCommand.__args__)


@each
def test_a_command_is_recorded_by_its_own_kind_of_event(
    command: c.AnchoredCommand, recorded_by: type[e.HistoryEvent]
) -> None:
    assert type(recorded(command)) is recorded_by


@each
def test_an_intent_keeps_all_that_the_command_says(
    command: c.AnchoredCommand, recorded_by: type[e.HistoryEvent]
) -> None:
    said = attrs.asdict(command, recurse=False)
    said.pop("aliases", None)
    envelope = {"seq": 2, "recorded_at": at(2), "workflow_id": W}
    assert attrs.asdict(recorded(command), recurse=False) == {**said, **envelope}


@each
def test_a_command_stands_for_its_own_event_and_no_other(
    command: c.AnchoredCommand, recorded_by: type[e.HistoryEvent]
) -> None:
    matching = [type(other) for other, _ in ANCHORED if same_intent(command, recorded(other))]
    assert matching == [type(command)]


KEYED: list[tuple[c.AnchoredCommand, c.AnchoredCommand]] = [
    (run(0), run(1)),
    (cancel(0), cancel(1)),
    (start_timer("timer:0"), start_timer("timer:1")),
    (cancel_timer("timer:0"), cancel_timer("timer:1")),
    (spawn(0), attrs.evolve(spawn(0), child_key=spawn(1).child_key)),
    (c.CancelChild(spawn(0).child_key), c.CancelChild(spawn(1).child_key)),
    (SEND, attrs.evolve(SEND, position="signal:1")),
    (MARK, attrs.evolve(MARK, position="marker:1")),
    (
        c.UpdateSearchAttributes("attributes:0", {}),
        c.UpdateSearchAttributes("attributes:1", {}),
    ),
    (c.CompleteUpdate("u-1", NOTHING), c.CompleteUpdate("u-2", NOTHING)),
    (c.FailUpdate("u-1", DECLINED), c.FailUpdate("u-2", DECLINED)),
]


@pytest.mark.parametrize(
    ("command", "other"), KEYED, ids=[type(command).__name__ for command, _ in KEYED]
)
def test_another_key_is_another_intent(
    command: c.AnchoredCommand, other: c.AnchoredCommand
) -> None:
    assert not same_intent(command, recorded(other))


@pytest.mark.parametrize(
    ("command", "other"),
    [
        (run(0, "charge"), run(0, "ship")),
        (spawn(0, "part"), spawn(0, "whole")),
        (MARK, attrs.evolve(MARK, name="aion.patched:new")),
        (complete("1"), complete("2")),
        (fail(), fail(other_error())),
        (c.ContinueAsNew(value("{}"), NEXT), c.ContinueAsNew(value('{"n":1}'), NEXT)),
        (c.ContinueAsNew(NOTHING, NEXT), c.ContinueAsNew(NOTHING, NEXT, "whole")),
    ],
    ids=["activity type", "child type", "marker", "result", "error type", "input", "next type"],
)
def test_another_type_or_end_is_another_intent(
    command: c.AnchoredCommand, other: c.AnchoredCommand
) -> None:
    assert not same_intent(command, recorded(other))


@pytest.mark.parametrize(
    ("command", "other"),
    [
        (
            run(),
            attrs.evolve(run(), input=value('{"n":1}'), options=ActivityOptions(start_to_close=5)),
        ),
        (start_timer(), attrs.evolve(start_timer(), fire_at=at(61))),
        (
            spawn(),
            attrs.evolve(spawn(), input=value('{"n":1}'), child_workflow_id=WorkflowId("x")),
        ),
        (spawn(), attrs.evolve(spawn(), close_policy="abandon")),
        (SEND, attrs.evolve(SEND, payload=value("2"), target_workflow_id=WorkflowId("x"))),
        (MARK, attrs.evolve(MARK, payload=None, failure=DECLINED)),
        (
            c.UpdateSearchAttributes("attributes:0", {"city": "Ulm"}),
            c.UpdateSearchAttributes("attributes:0", {"city": "Bonn"}),
        ),
        (c.CompleteUpdate("u-1", value("1")), c.CompleteUpdate("u-1", value("2"))),
        (c.FailUpdate("u-1", DECLINED), c.FailUpdate("u-1", other_error())),
        (fail(), fail(attrs.evolve(DECLINED, message="other"))),
        (c.CancelWorkflow("enough"), c.CancelWorkflow("other")),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_else_a_command_says_is_not_compared(
    command: c.AnchoredCommand, other: c.AnchoredCommand
) -> None:
    assert same_intent(command, recorded(other))


def test_the_next_run_id_is_not_compared() -> None:
    other = c.ContinueAsNew(NOTHING, RunId("third"))
    assert same_intent(c.ContinueAsNew(NOTHING, NEXT), recorded(other))


def test_an_activity_is_found_under_a_former_name() -> None:
    assert same_intent(run(0, "charge", aliases=("pay",)), recorded(run(0, "pay")))


def test_a_child_is_found_under_a_former_name() -> None:
    assert same_intent(spawn(0, "part", aliases=("piece",)), recorded(spawn(0, "piece")))


def test_a_former_name_is_one_of_the_code_and_not_of_history() -> None:
    assert not same_intent(run(0, "pay"), recorded(run(0, "charge", aliases=("pay",))))


def test_equal_results_are_found_behind_their_spelling() -> None:
    command, other = complete('{"a":1,"b":2}'), recorded(complete('{"b": 2, "a": 1}'))
    assert not same_intent(command, other)
    assert same_intent(command, other, CONVERTER.same)


def test_results_are_compared_by_what_the_caller_says() -> None:
    asked: list[tuple[Payload, Payload]] = []

    def same(first: Payload, second: Payload) -> bool:
        asked.append((first, second))
        return True

    assert same_intent(complete("1"), recorded(complete("2")), same)
    assert asked == [(value("1"), value("2"))]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (run(), "ActivityScheduled of 'charge' (activity:0)"),
        (spawn(), "ChildWorkflowStarted of 'part' (child:0)"),
        (MARK, "MarkerRecorded of 'aion.side_effect' (marker:0)"),
        (start_timer(), "TimerStarted (timer:0)"),
        (fail(), "WorkflowFailed (Declined: no money)"),
        (c.CompleteUpdate("u-1", NOTHING), "UpdateCompleted (update 'u-1')"),
        (complete(), "WorkflowCompleted"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_command_is_described_like_its_event(command: c.AnchoredCommand, words: str) -> None:
    assert (describe(command), describe(recorded(command))) == (words, words)


def test_an_await_is_described_by_its_key() -> None:
    assert describe(c.AwaitSignal("go", 1)) == "AwaitSignal (signal 'go' #1)"
