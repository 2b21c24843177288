"""`explore_crashes` itself: what it does with a script, and what it says of what it finds."""

from __future__ import annotations

from pathlib import Path

import pytest

import aion_runtime as aion
from aion_core import events as e
from aion_core.ids import WorkflowId
from aion_runtime.testing import Crash, CrashDifference, explore_crashes
from aion_runtime.testing.script import Item, ScriptError, cancel, fire, outcome, signal, start
from tests.golden.acts import charge, ship
from tests.golden.mutants import lost_outcome

go = aion.Signal("go", int)

EXPLORED = WorkflowId("explored")


@aion.workflow
async def adding(first: int) -> int:
    return first + await charge(first) + await go.receive()


@aion.workflow
async def two_signals() -> int:
    await aion.sleep(100)
    return await go.receive() + await go.receive()


@aion.workflow
async def sleeping() -> str:
    await aion.sleep(10)
    return aion.now().isoformat()


async def test_there_is_a_run_for_each_append_before_and_after() -> None:
    found = await explore_crashes(adding, [outcome(charge, 2), signal(go, 3)], 1)
    assert (found.result, found.failure) == (6, None)
    assert (found.appends, found.runs) == (3, 6)


async def test_a_failure_is_told_by_type_and_message() -> None:
    found = await explore_crashes(sleeping, [cancel(reason="no more")])
    assert (found.result, found.failure) == (None, ("Cancelled", "no more"))


async def test_a_workflow_may_be_open_at_the_end_of_its_script() -> None:
    found = await explore_crashes(adding, [outcome(charge, 2)], 1)
    assert (found.result, found.failure) == (None, None)
    assert [type(event) for event in found.histories[EXPLORED]] == [
        e.WorkflowStarted,
        e.ActivityScheduled,
        e.ActivityCompleted,
    ]


async def test_a_burst_is_taken_in_one_append() -> None:
    one_by_one = await explore_crashes(two_signals, [signal(go, 1), signal(go, 2), fire()])
    at_once = await explore_crashes(two_signals, [[signal(go, 1), signal(go, 2)], fire()])
    assert (one_by_one.appends, at_once.appends) == (4, 3)
    assert len(at_once.histories[EXPLORED]) == len(one_by_one.histories[EXPLORED])


async def test_time_passes_only_when_something_fires() -> None:
    found = await explore_crashes(sleeping, [fire()])
    assert found.result == "2030-01-01T00:00:10+00:00"


async def test_a_workflow_may_be_started_beside() -> None:
    script: list[Item] = [start(sleeping, workflow_id="other"), signal(go, 1, to="other"), fire()]
    found = await explore_crashes(adding, [*script, outcome(charge, 2), signal(go, 3)], 1)
    assert found.result == 6
    assert set(found.histories) == {EXPLORED, WorkflowId("other")}


async def test_an_outcome_that_nobody_waits_for_is_an_error_that_says_what_is_open() -> None:
    with pytest.raises(
        ScriptError, match=r"item 0 .*outcome\(ship, 'x'\).*activities open: charge"
    ):
        await explore_crashes(adding, [outcome(ship, "x")], 1)


async def test_time_that_nothing_waits_for_is_an_error() -> None:
    with pytest.raises(ScriptError, match="nothing is going to fire"):
        await explore_crashes(adding, [fire()], 1)


async def test_what_does_not_fit_can_be_left_out() -> None:
    script: list[Item] = [
        outcome(ship, "x"),
        outcome(charge, 2),
        fire(),
        [signal(go, 3), fire()],
        cancel(),
    ]
    found = await explore_crashes(adding, script, 1, skip_unfit=True)
    assert found.result == 6
    assert [len(burst) for burst in found.script] == [1, 1]


async def test_a_store_that_keeps_needs_a_place_for_each_run(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match=r"write \{run\}"):
        await explore_crashes(sleeping, [fire()], store=f"sqlite:///{tmp_path}/explored.db")
    await explore_crashes(sleeping, [fire()], store=f"sqlite:///{tmp_path}/{{run}}.db")


async def test_a_difference_names_the_crash_what_differs_and_the_script() -> None:
    with lost_outcome(), pytest.raises(CrashDifference) as caught:
        await explore_crashes(adding, [outcome(charge, 2)], 1)
    assert caught.value.crashes == (Crash(1, "after"),)
    first = caught.value.differences[0]
    assert first.startswith("the history of workflow 'explored' ends before event 3,")
    assert str(caught.value).startswith("killed after append 1:\n")
    assert str(caught.value).endswith("The script: outcome(charge, 2)")


async def test_engines_can_be_killed_several_times_in_one_run() -> None:
    plan = [Crash(1, "after"), Crash(1, "before"), Crash(1, "after")]
    script: list[Item] = [outcome(charge, 2), signal(go, 3)]
    found = await explore_crashes(adding, script, 1, crashes=[plan])
    assert (found.result, found.runs) == (6, 1)
