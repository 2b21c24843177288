"""Correlation keys name a call and the events about it alike, and nothing else."""

import pytest

from aion_core import commands as c
from aion_core.failures import Failure
from aion_core.ids import WorkflowId
from aion_core.replay import CorrelationKey, key_of, key_of_event
from tests.replay.histories import (
    NOTHING,
    Unnumbered,
    await_child,
    await_signal,
    await_timer,
    cancel,
    cancel_requested,
    cancel_timer,
    child_started,
    complete,
    completed,
    ended,
    failed,
    received,
    run,
    scheduled,
    spawn,
    start_timer,
    started,
    timer_cancelled,
    timer_fired,
    timer_started,
    written,
)


def test_ordinals_count_the_calls_of_the_root_task() -> None:
    assert [
        CorrelationKey.activity(1).id,
        CorrelationKey.child(1).id,
        CorrelationKey.sent_signal(1).id,
        CorrelationKey.marker(1).id,
        CorrelationKey.attributes(1).id,
    ] == ["activity:1", "child:1", "signal:1", "marker:1", "attributes:1"]


def test_a_call_of_another_task_is_given_by_its_position() -> None:
    assert CorrelationKey.activity("activity:1/0") == key_of(run("activity:1/0"))


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (run(2), CorrelationKey.activity(2)),
        (cancel(2), CorrelationKey.activity(2)),
        (start_timer(), CorrelationKey.timer("timer:0")),
        (cancel_timer(), CorrelationKey.timer("timer:0")),
        (await_timer(), CorrelationKey.timer("timer:0")),
        (spawn(1), CorrelationKey.child(1)),
        (await_child(1), CorrelationKey.child(1)),
        (await_signal(3), CorrelationKey.signal("go", 3)),
        (c.RecordMarker("aion.side_effect", "marker:0"), CorrelationKey.marker(0)),
        (c.UpdateSearchAttributes("attributes:0", {}), CorrelationKey.attributes(0)),
        (c.CompleteUpdate("u-1", NOTHING), CorrelationKey.update("u-1")),
        (c.FailUpdate("u-1", Failure(type="E", message="")), CorrelationKey.update("u-1")),
        (
            c.SendSignal("signal:0", WorkflowId("other"), "go", NOTHING),
            CorrelationKey.sent_signal(0),
        ),
        (complete(), None),
        (c.Park(), None),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_command_has_the_key_of_its_call(command: c.Command, key: CorrelationKey | None) -> None:
    assert key_of(command) == key


@pytest.mark.parametrize(
    ("command", "events"),
    [
        (run(), [scheduled(), completed(), failed(), cancel_requested()]),
        (start_timer(), [timer_started(), timer_fired(), timer_cancelled()]),
        (spawn(), [child_started()]),
    ],
    ids=["activity", "timer", "child"],
)
def test_events_have_the_key_of_the_command_they_are_about(
    command: c.Command, events: list[Unnumbered]
) -> None:
    assert {key_of_event(each) for each in written(*events)} == {key_of(command)}


def test_events_about_the_whole_run_have_no_key() -> None:
    assert [key_of_event(each) for each in written(started(), ended())] == [None, None]


def test_a_received_signal_has_no_key_by_itself() -> None:
    (signal,) = written(received())
    assert key_of_event(signal) is None


def test_a_sent_signal_and_a_received_one_share_no_key() -> None:
    assert CorrelationKey.sent_signal("go") != CorrelationKey.signal("go", 0)
