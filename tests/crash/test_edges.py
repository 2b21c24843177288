"""Every edge between runs, over a crash at every append: each message is taken exactly once.

`explore_crashes` kills the engine before and after each append, and holds results, histories,
answers and undelivered messages against those of a run without a crash.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import pytest

import aion_runtime as aion
from aion_core import events as e
from aion_core.history import RunProjection
from aion_core.ids import WorkflowId
from aion_runtime.testing import Crash, Exploration, explore_crashes
from aion_runtime.testing.script import Item, Script, cancel, signal, start, terminate

Policy = Literal["cancel", "terminate", "abandon"]

go = aion.Signal("go", int)

LEVELS = ("child", "grandchild", "great-grandchild")

MIXED: list[tuple[Policy, Policy, Policy]] = [
    ("cancel", "cancel", "cancel"),
    ("terminate", "terminate", "terminate"),
    ("cancel", "terminate", "cancel"),
    ("terminate", "cancel", "terminate"),
    ("cancel", "terminate", "abandon"),
    ("terminate", "abandon", "cancel"),
    ("abandon", "cancel", "terminate"),
]

STATUS_BY_POLICY = {"cancel": "Cancelled", "terminate": "Terminated", "abandon": "Running"}

ENDED_BY: dict[str, Item] = {
    "completion": signal(go, 1),
    "failure": signal(go, 1),
    "continuation": signal(go, 1),
    "cancellation": cancel(),
    "termination": terminate(),
}


def offspring(policies: Sequence[Policy]) -> aion.Workflow[[list[Policy]], int]:
    """The definition of the next generation, by the first of the policies that are left."""
    return descendant.options(workflow_id=LEVELS[-len(policies)], on_parent_close=policies[0])


@aion.workflow
async def descendant(policies: list[Policy]) -> int:
    """Starts the next generation, which starts its own; and waits."""
    if policies:
        await offspring(policies).spawn(policies[1:])
    return await go.receive()


@aion.workflow
async def forebear(policies: list[Policy], ending: str) -> int:
    """The top of the family, which ends in one of many ways when it is told to."""
    if policies:
        await offspring(policies).spawn(policies[1:])
    value = await go.receive()
    if ending == "failure":
        raise aion.ApplicationError("it cannot go on", type="Tired")
    if ending == "continuation" and policies:
        forebear.continue_as_new([], ending)
    return value


def status_of(found: Exploration, workflow_id: str) -> str:
    history = found.histories[WorkflowId(workflow_id)]
    summary = RunProjection(WorkflowId(workflow_id), history).summary
    assert summary is not None
    return summary.status.value


def expected_statuses(policies: Sequence[Policy]) -> list[str]:
    """A run hears of its parent's end when that has ended; below one that lives on, all do."""
    statuses: list[str] = []
    for policy in policies:
        lives_on = "Running" in statuses
        statuses.append("Running" if lives_on else STATUS_BY_POLICY[policy])
    return statuses


@pytest.mark.parametrize("policies", MIXED, ids="-".join)
async def test_close_policies_reach_down_three_levels(policies: tuple[Policy, ...]) -> None:
    script = [ENDED_BY["completion"]]
    found = await explore_crashes(forebear, script, list(policies), "completion")
    assert [status_of(found, each) for each in LEVELS] == expected_statuses(policies)


@pytest.mark.parametrize("ending", ENDED_BY)
async def test_close_policies_reach_down_however_the_top_ends(ending: str) -> None:
    policies: list[Policy] = ["terminate", "cancel", "abandon"]
    found = await explore_crashes(forebear, [ENDED_BY[ending]], policies, ending)
    assert [status_of(found, each) for each in LEVELS] == expected_statuses(policies)
    assert (status_of(found, "explored") == "Running") == (ending == "continuation")


async def test_a_crash_while_the_last_one_is_recovered_changes_nothing_either() -> None:
    policies: list[Policy] = ["cancel", "terminate", "cancel"]
    script = [ENDED_BY["completion"]]
    undisturbed = await explore_crashes(forebear, script, policies, "completion", crashes=[])
    twice = [
        [Crash(append, "after"), Crash(next_append, moment)]
        for append in range(1, undisturbed.appends)
        for next_append in (1, 2)
        for moment in ("before", "after")
        if append + next_append <= undisturbed.appends
    ]
    found = await explore_crashes(forebear, script, policies, "completion", crashes=twice)
    assert found.runs == len(twice) > 20


@aion.workflow
async def ending_child(ending: str) -> int:
    value = await go.receive()
    if ending == "failure":
        raise aion.ApplicationError("no money", type="Declined")
    if ending == "continuation" and value:
        ending_child.continue_as_new(ending)
    return value


@aion.workflow
async def told_of_an_end(ending: str) -> str:
    handle = await ending_child.options(workflow_id="child").spawn(ending)
    try:
        return f"returned {await handle.result()}"
    except aion.ChildWorkflowError as error:
        return f"{error.failure.type}: {error.failure.message}"


@pytest.mark.parametrize(
    ("ending", "script", "result"),
    [
        ("completion", [signal(go, 7, to="child")], "returned 7"),
        ("failure", [signal(go, 7, to="child")], "Declined: no money"),
        ("continuation", [signal(go, 7, to="child"), signal(go, 0, to="child")], "returned 0"),
        ("cancellation", [cancel(to="child", reason="late")], "Cancelled: late"),
        ("termination", [terminate(to="child", reason="late")], "Terminated: late"),
    ],
)
async def test_a_parent_hears_once_how_its_child_has_ended(
    ending: str, script: Script, result: str
) -> None:
    found = await explore_crashes(told_of_an_end, script, ending)
    assert found.result == result
    outcomes = (e.ChildWorkflowCompleted, e.ChildWorkflowFailed, e.ChildWorkflowCancelled)
    history = found.histories[WorkflowId("explored")]
    assert sum(isinstance(event, outcomes) for event in history) == 1


@aion.workflow
async def obedient() -> int:
    return await go.receive()


@aion.workflow
async def enduring() -> int:
    """Takes no notice when it is to stop, and goes on for as long as it needs."""
    value = 0
    with aion.CancelScope(shield=True):
        value = await go.receive()
    return value


@aion.workflow
async def middle() -> int:
    return await obedient.options(workflow_id="grandchild")()


CHILDREN: dict[str, aion.Workflow[[], int]] = {
    each.name: each for each in (obedient, enduring, middle)
}


@aion.workflow
async def stopping(kind: str, waits: bool) -> str:
    """Asks its child to stop: at once, in the step that starts it, or when it is told to."""
    handle = await CHILDREN[kind].options(workflow_id="child").spawn()
    if waits:
        await go.receive()
    handle.cancel()
    try:
        return f"returned {await handle.result()}"
    except aion.ChildWorkflowError as error:
        return error.failure.type


@pytest.mark.parametrize(
    ("kind", "script", "result"),
    [
        ("obedient", [], "Cancelled"),
        ("middle", [], "Cancelled"),
        ("enduring", [signal(go, 5, to="child")], "returned 5"),
    ],
)
@pytest.mark.parametrize("waits", [False, True])
async def test_a_child_is_asked_to_stop_once(
    kind: str, script: list[Item], result: str, waits: bool
) -> None:
    told = [signal(go, 1)] if waits else []
    found = await explore_crashes(
        stopping, [*told, *script], kind, waits, workflows=list(CHILDREN.values())
    )
    assert found.result == result
    child = found.histories[WorkflowId("child")]
    assert sum(isinstance(event, e.WorkflowCancelRequested) for event in child) == 1


async def test_a_request_to_stop_that_comes_when_the_child_has_ended_is_dropped() -> None:
    # Taken in one step: the child's result crosses the parent's request on the way.
    script: Script = [[signal(go, 3, to="child"), signal(go, 1)]]
    found = await explore_crashes(
        stopping, script, "obedient", True, workflows=list(CHILDREN.values())
    )
    assert found.result == "returned 3"


@aion.workflow
async def talking(to: str, begins: bool, rounds: int) -> list[int]:
    """Says three numbers at a time, and hears three, in turn with somebody else."""
    heard: list[int] = []
    for round_ in range(rounds):
        if begins or round_:
            for number in range(3):
                await go.send(to, 10 * round_ + number)
        heard += [await go.receive() for _ in range(3)]
    return heard


async def test_what_runs_say_to_each_other_is_heard_once_and_in_order() -> None:
    script = [start(talking, "explored", False, 4, workflow_id="other")]
    found = await explore_crashes(talking, script, "other", True, 3)
    assert isinstance(found.result, list)
    assert len(found.result) == 9
    assert all(earlier < later for earlier, later in pairwise(found.result))
    for history in found.histories.values():
        ids = [event.signal_id for event in history if isinstance(event, e.SignalReceived)]
        assert len(ids) == len(set(ids))


@aion.workflow
async def travelling(stops: int, log: list[int]) -> list[int]:
    """Goes on as another run each time, with children of all policies open."""
    policies: list[Policy] = ["cancel", "terminate", "abandon"]
    for policy in policies:
        child = reporting.options(workflow_id=f"{policy} {stops}", on_parent_close=policy)
        await child.spawn("explored")
    log = [*log, await go.receive()]
    if stops:
        travelling.continue_as_new(stops - 1, log)
    return log


@aion.workflow
async def reporting(to: str) -> int:
    """Passes on what it is told."""
    value = await go.receive()
    await go.send(to, value)
    return value


async def test_a_parent_goes_on_with_children_open_and_signals_unread() -> None:
    # The two of the burst are taken together: the first lets the parent go on, with one unread.
    script: Script = [
        signal(go, 5, to="abandon 3"),
        [signal(go, 6), signal(go, 7)],
        signal(go, 8, to="abandon 2"),
        signal(go, 9, to="abandon 0"),
    ]
    found = await explore_crashes(travelling, script, 3, [])
    assert found.result == [5, 6, 7, 8]
    assert {each: status_of(found, each) for each in found.histories if " " in each} == {
        **{f"cancel {stop}": "Cancelled" for stop in range(4)},
        **{f"terminate {stop}": "Terminated" for stop in range(4)},
        **{f"abandon {stop}": "Completed" for stop in (3, 2, 0)},
        "abandon 1": "Running",
    }
