"""What clients and engines are told when they ask for what cannot be: the same, word for word.

Each row is asked of the engine in its process, of a client, and of a client of another process's
engine as far as that is seen here: through the store.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest

import aion_runtime as aion
from aion_core.errors import ActivityNotFoundError, ActivityNotHeldError
from tests.runtime.clients import House, account, add, approval, failing, house_of, total

unknown_signal = aion.Signal("aproval", bool)
other_type = aion.Signal("approval", int)
unknown_query = aion.Query("sum", int)
unknown_update = aion.Update("ad", int, int)
other_argument = aion.Update("add", str, int)
wrong_answer = aion.Query("total", str)

Ask = Callable[[aion.Client], Awaitable[object]]


@attrs.frozen
class Row:
    """A request, and what it is answered.

    Attributes:
        ask: of a client, with the workflows ``open``, ``closed`` and ``stuck``.
    """

    ask: Ask
    error: type[Exception]
    text: str


ROWS = {
    # Unknown ids.
    "signal-unknown": Row(
        lambda c: c.get("no").signal(approval, True),
        aion.WorkflowNotFoundError,
        "no workflow has the id 'no'; check it against list_runs()",
    ),
    "query-unknown": Row(lambda c: c.get("no").query(total), aion.WorkflowNotFoundError, "'no'"),
    "update-unknown": Row(lambda c: c.get("no").update(add, 1), aion.WorkflowNotFoundError, "'no'"),
    "cancel-unknown": Row(lambda c: c.get("no").cancel(), aion.WorkflowNotFoundError, "'no'"),
    "terminate-unknown": Row(lambda c: c.get("no").terminate(), aion.WorkflowNotFoundError, "'no'"),
    "retry-unknown": Row(lambda c: c.get("no").retry(), aion.WorkflowNotFoundError, "'no'"),
    "supply-unknown": Row(lambda c: c.get("no").supply("a", 1), aion.WorkflowNotFoundError, "'no'"),
    "result-unknown": Row(lambda c: c.get("no").result(), aion.WorkflowNotFoundError, "'no'"),
    "describe-unknown": Row(lambda c: c.describe("no"), aion.WorkflowNotFoundError, "'no'"),
    "history-unknown": Row(lambda c: c.get("no").history(), aion.WorkflowNotFoundError, "'no'"),
    "explain-unknown": Row(lambda c: c.explain("no"), aion.WorkflowNotFoundError, "'no'"),
    # Closed runs.
    "signal-closed": Row(
        lambda c: c.get("closed").signal(approval, True),
        aion.WorkflowClosedError,
        "workflow 'closed' is closed (Terminated); nothing was delivered",
    ),
    "update-closed": Row(
        lambda c: c.get("closed").update(add, 1), aion.WorkflowClosedError, "(Terminated)"
    ),
    "cancel-closed": Row(lambda c: c.get("closed").cancel(), aion.WorkflowClosedError, "closed"),
    "terminate-closed": Row(
        lambda c: c.get("closed").terminate(), aion.WorkflowClosedError, "closed"
    ),
    "retry-closed": Row(lambda c: c.get("closed").retry(), aion.WorkflowClosedError, "closed"),
    "supply-closed": Row(
        lambda c: c.get("closed").supply("a", 1), aion.WorkflowClosedError, "closed"
    ),
    "result-closed": Row(
        lambda c: c.get("closed").result(), aion.WorkflowFailedError, "Terminated: test"
    ),
    # Text that no store can keep.
    "cancel-half-a-pair": Row(
        lambda c: c.get("open").cancel("\ud800"),
        aion.WorkflowUsageError,
        "cancel takes its reason as a text that can be stored",
    ),
    "terminate-half-a-pair": Row(
        lambda c: c.get("open").terminate("\ud800"), aion.WorkflowUsageError, "half a surrogate"
    ),
    "start-half-a-pair": Row(
        lambda c: c.start_named("\ud800", {}), aion.WorkflowUsageError, "half a surrogate"
    ),
    "retry-half-a-pair": Row(
        lambda c: c.get("open").retry("\ud800"), aion.WorkflowUsageError, "half a surrogate"
    ),
    "supply-number": Row(
        lambda c: c.get("open").supply(7, 1),  # type: ignore[arg-type]
        aion.WorkflowUsageError,
        "supply takes the id of an activity as a text, not 7",
    ),
    "supplied-by-half-a-pair": Row(
        lambda c: c.get("open").supply("a", 1, supplied_by="\ud800"),
        aion.WorkflowUsageError,
        "half a surrogate",
    ),
    # Names and types that do not fit.
    "signal-not-accepted": Row(
        lambda c: c.get("open").signal(unknown_signal, True),
        aion.WorkflowUsageError,
        "workflow 'account' does not accept a signal 'aproval'",
    ),
    "signal-of-another-type": Row(
        lambda c: c.get("open").signal(other_type, 7), aion.PayloadError, "expected bool, got int"
    ),
    "value-of-another-type": Row(
        lambda c: c.get("open").signal(approval, 7),  # type: ignore[misc]
        aion.PayloadError,
        "$: expected bool, got int",
    ),
    "no-signal": Row(
        lambda c: c.get("open").signal("approval", True),  # type: ignore[arg-type]
        aion.WorkflowUsageError,
        "signal takes a Signal, not 'approval'; make one by Signal(name, type)",
    ),
    "query-not-known": Row(
        lambda c: c.get("open").query(unknown_query), aion.QueryError, "query 'sum'"
    ),
    "query-of-another-type": Row(
        lambda c: c.get("open").query(wrong_answer), aion.PayloadError, "expected str, got int"
    ),
    "update-not-handled": Row(
        lambda c: c.get("open").update(unknown_update, 1),
        aion.UpdateRejectedError,
        "did you mean 'add'?",
    ),
    "update-of-another-type": Row(
        lambda c: c.get("open").update(other_argument, "x"),
        aion.PayloadError,
        "expected int, got str",
    ),
    "update-rejected": Row(
        lambda c: c.get("open").update(add, -1),
        aion.UpdateRejectedError,
        "update 'add' was rejected: ValueError: less than nothing",
    ),
    "update-failed": Row(
        lambda c: c.get("open").update(add, 13), aion.UpdateFailedError, "ValueError: not thirteen"
    ),
    "update-id-of-another-update": Row(
        lambda c: c.get("open").update(add, 3, update_id="used"),
        aion.WorkflowUsageError,
        "workflow 'open' has had the update id 'used' for update 'add' with another argument; "
        "give each update an id of its own",
    ),
    "no-reason": Row(
        lambda c: c.get("open").cancel(7),  # type: ignore[arg-type]
        aion.WorkflowUsageError,
        "cancel takes its reason as a text, not 7",
    ),
    "nothing-to-retry": Row(
        lambda c: c.get("open").retry(), ActivityNotHeldError, "no activity of workflow 'open'"
    ),
    "supply-of-no-activity": Row(
        lambda c: c.get("open").supply("charge-1", 1), ActivityNotFoundError, "'charge-1'"
    ),
    "supply-of-nothing": Row(
        lambda c: c.get("open").supply("charge-1"), aion.WorkflowUsageError, "a value or an error="
    ),
    "bad-signal-id": Row(
        lambda c: c.get("open").signal(approval, True, signal_id="\n"),
        aion.InvalidIdError,
        "signal_id",
    ),
    # Starts.
    "start-with-another-input": Row(
        lambda c: c.start(account, 6, workflow_id="open"),
        aion.WorkflowAlreadyStartedError,
        "workflow 'open' was already started with another input; choose another id",
    ),
    "start-of-another-type": Row(
        lambda c: c.start_named("failing", {}, workflow_id="open"),
        aion.WorkflowAlreadyStartedError,
        "as 'account', not 'failing'",
    ),
    "start-of-an-unknown-type": Row(
        lambda c: c.start_named("acount", {}),
        aion.UnknownWorkflowTypeError,
        "this engine has no workflow 'acount' (it has: account, failing, fragile)",
    ),
    "start-with-too-little": Row(
        lambda c: c.start_named("account", {}), aion.PayloadError, "'start' is missing"
    ),
    "start-with-too-much": Row(
        lambda c: c.start_named("account", {"start": 1, "nota": "x"}),
        aion.PayloadError,
        "has no such parameter; did you mean 'note'?",
    ),
    "start-with-another-type": Row(
        lambda c: c.start_named("account", {"start": "1"}),
        aion.PayloadError,
        "$.start: expected int, got str",
    ),
    "start-with-a-list": Row(
        lambda c: c.start_named("account", [1]),  # type: ignore[arg-type]
        aion.WorkflowUsageError,
        "takes the arguments by name",
    ),
    "start-with-a-bad-id": Row(
        lambda c: c.start(account, 1, workflow_id=""),
        aion.InvalidIdError,
        "workflow id '' has 0 characters",
    ),
    "start-in-the-past": Row(lambda c: c.start(account, 1, delay=-1), ValueError, "-1"),
    "start-of-no-workflow": Row(
        lambda c: c.start(total),  # type: ignore[arg-type]
        aion.WorkflowUsageError,
        "start takes a function decorated with @workflow",
    ),
    # A stuck run.
    "query-stuck": Row(
        lambda c: c.get("stuck").query(total), aion.WorkflowStuckError, "workflow 'stuck' cannot"
    ),
    "update-stuck": Row(
        lambda c: c.get("stuck").update(add, 1), aion.WorkflowStuckError, "workflow 'stuck' cannot"
    ),
    "cancel-stuck": Row(
        lambda c: c.get("stuck").cancel(), aion.WorkflowStuckError, "workflow 'stuck' cannot"
    ),
    "result-stuck": Row(
        lambda c: c.get("stuck").result(), aion.WorkflowStuckError, "workflow 'stuck' cannot"
    ),
    "supply-stuck": Row(
        lambda c: c.get("stuck").supply("a", 1), aion.WorkflowStuckError, "workflow 'stuck' cannot"
    ),
    "retry-stuck": Row(
        lambda c: c.get("stuck").retry(), aion.WorkflowStuckError, "workflow 'stuck' cannot"
    ),
    "start-stuck-with-another-input": Row(
        lambda c: c.start_named("fragile", {"start": 6}, workflow_id="stuck"),
        aion.WorkflowAlreadyStartedError,
        "with another input",
    ),
    # Reading.
    "events-before-the-first": Row(
        lambda c: c.events(after=-1).__anext__(),
        ValueError,
        "after is the position of an event, or 0, not -1",
    ),
    "list-of-none": Row(lambda c: c.list_runs(limit=0), ValueError, "at least 1 row"),
    "list-with-a-bad-cursor": Row(lambda c: c.list_runs(cursor="x"), ValueError, "cursor"),
}


@aion.workflow
async def fragile(start: int) -> None:
    total.answer(lambda: start)
    add.handle(lambda by: start + by)
    await approval.receive()
    raise SystemExit("a defect")


@asynccontextmanager
async def served(house: House) -> AsyncIterator[tuple[aion.Engine, aion.Client]]:
    async with house.both(account, failing, fragile) as (engine, client):
        run = await engine.start(account, 5, workflow_id="open")
        await run.update(add, 2, update_id="used")
        await (await engine.start(account, 5, workflow_id="closed")).terminate("test")
        stuck = await engine.start(fragile, 5, workflow_id="stuck")
        await stuck.signal(approval, True)
        with pytest.raises(aion.WorkflowStuckError):
            await stuck.result()
        yield engine, client


@attrs.frozen
class Told:
    """An error, as far as callers look at it; not the stack in a failure."""

    kind: type[BaseException]
    text: str
    fields: dict[str, object]


async def told_by(caller: aion.Client, row: Row) -> Told:
    try:
        answer = await row.ask(caller)
    except Exception as error:
        fields = {name: value for name, value in vars(error).items() if name != "failure"}
        return Told(type(error), str(error), fields)
    return Told(NoError, repr(answer), {})


class NoError(Exception):
    """What should have been refused was done."""


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_clients_are_told_what_callers_in_the_engine_are_told(
    kind: str, tmp_path: Path
) -> None:
    async with served(house_of(kind, tmp_path)) as (engine, client):
        before = await engine.get("open").history()
        wrong = {}
        for name, row in ROWS.items():
            told = [await told_by(caller, row) for caller in (engine, client)]
            if told[0] != told[1] or told[0].kind is not row.error or row.text not in told[0].text:
                wrong[name] = told
        assert wrong == {}
        # Nothing of it was recorded, but for the update that failed.
        after = await engine.get("open").history()
        assert {type(event).__name__ for event in after[len(before) :]} == {
            "UpdateAccepted",
            "UpdateFailed",
        }


async def test_signals_to_a_stuck_run_are_kept_for_clients_too(tmp_path: Path) -> None:
    house = house_of("sqlite", tmp_path)
    async with served(house) as (_, client):
        await client.get("stuck").signal(approval, False, signal_id="kept")
        await client.get("stuck").signal(approval, False, signal_id="kept")
    async with house.store() as store:
        waiting = [each.message.kind async for each in store.all_messages()]
        assert waiting == ["signal", "signal", "signal"]


async def test_a_stuck_run_is_terminated_by_a_client(tmp_path: Path) -> None:
    house = house_of("sqlite", tmp_path)
    async with served(house) as (_, client):
        await client.get("stuck").terminate("enough")
        summary = await client.describe("stuck")
        assert summary.status is aion.WorkflowStatus.TERMINATED
    async with house.store() as store:
        assert [each async for each in store.all_messages()] == []
