"""Golden histories: what former versions wrote, kept for ever in ``tests/histories``.

Each is made by a script that drives a workflow. ``python -m tests.replay.golden NAME`` writes the
file of a new one; a file that is there is never written again.
"""

import json
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs

from aion_core import events as e
from aion_core.authoring.activities import activity
from aion_core.authoring.concurrency import gather
from aion_core.authoring.signals import Signal
from aion_core.authoring.timing import move_on_after, now, sleep
from aion_core.authoring.workflows import Workflow, workflow
from aion_core.codec import decode_event
from aion_core.errors import ActivityError
from aion_core.failures import Failure
from aion_core.ids import WorkflowId
from aion_core.machine.nursery import open_nursery
from aion_core.policies import RetryPolicy
from aion_runtime.testing import save_history
from tests.machine.driver import Driver, close_all

FOLDER = Path(__file__).resolve().parents[1] / "histories"


@attrs.frozen
class Order:
    number: str
    lines: dict[str, int]


approval = Signal("approval", str)


@activity(retry=RetryPolicy(max_attempts=3, initial_interval=2), start_to_close=30)
async def charge(order: Order) -> str:
    return order.number


@activity
def reserve(item: str, quantity: int) -> bool:
    return quantity > 0


@activity(retry=RetryPolicy(max_attempts=None, non_retryable=("Gone",)))
async def ship(order: Order) -> None: ...


@activity
async def refund(receipt: str) -> None: ...


@workflow
async def approved_in_time(order: Order) -> str:
    """Gather, a signal, and a time limit that is taken away."""
    receipt = await charge(order)
    await gather(*(reserve(item, quantity) for item, quantity in order.lines.items()))
    with move_on_after(60) as scope:
        receipt += await approval.receive()
    if scope.cancelled_caught:
        await refund.options(key="refund")(receipt)
        return "refunded"
    await ship(order)
    return receipt


@workflow
async def retried(order: Order) -> str:
    """An attempt that fails, one that is delivered twice, one that fails for good."""
    try:
        return await charge(order)
    except ActivityError as error:
        await sleep(1.5)
        raise ValueError(f"not charged: {error.message}") from error


@workflow
async def failing_nursery(order: Order) -> None:
    """One task fails; its siblings are cancelled: one completes all the same, one stops."""

    async def slowly() -> None:
        await sleep(3600)

    async with open_nursery() as nursery:
        nursery.start_soon(slowly)
        for item, quantity in order.lines.items():
            nursery.start_soon(reserve, item, quantity)
        await ship(order)


@workflow
async def cancelled_activity(order: Order) -> list[str]:
    """An activity is asked to stop by a deadline that was moved, and does."""
    log = []
    with move_on_after(60) as scope:
        scope.deadline = now() + timedelta(seconds=10)
        await ship(order)
    log.append(str(scope.cancelled_caught))
    with move_on_after(5):
        log.append(await charge(order))
        await sleep(0)
    return log


ORDER = {"number": "Nº 1 🙂", "lines": {"pen": 2, "ink\u2028": 1}}
DECLINED = Failure(type="Declined", message="no \\ud800 money", notes=("call the bank",))
GONE = Failure(type="Gone", message="no longer there", cause=DECLINED)


def script_approved(driver: Driver) -> None:
    driver.start(order=ORDER)
    driver.at = 1.000001
    driver.complete("charge", "receipt")
    driver.step(driver.completed("reserve", True), driver.signalled("unknown", 1))
    driver.complete("reserve", False)
    driver.at = 30
    driver.step(driver.signalled("approval", 7), driver.signalled("approval", " by kim"))
    driver.complete("ship")


def script_timed_out(driver: Driver) -> None:
    driver.start(order=ORDER)
    driver.complete("charge", "receipt")
    driver.complete("reserve", True)
    driver.complete("reserve", True)
    driver.fire()
    driver.complete("refund")


def script_retried(driver: Driver) -> None:
    driver.start(order=ORDER)
    driver.step(driver.failed("charge", DECLINED))
    driver.at = 2
    driver.step(driver.redelivery("charge"))
    driver.step(driver.failed("charge", Failure(type="TimeoutError", message="", kind="timeout")))
    driver.at = 6
    driver.step(driver.failed("charge", attrs.evolve(DECLINED, cause=GONE)))
    driver.fire()


def script_failing_nursery(driver: Driver) -> None:
    driver.start(order=ORDER)
    driver.step(driver.failed("ship", GONE))
    driver.complete("reserve", True)
    driver.step(driver.cancelled("reserve", detail="outcome unknown"))


def script_cancelled(driver: Driver) -> None:
    driver.start(order=ORDER)
    driver.fire()
    driver.step(driver.cancelled("ship", attempt_ran=False))
    driver.fire()
    driver.complete("charge", "receipt")


def script_delayed(driver: Driver) -> None:
    driver.at = 2
    driver.start_later(3600, order=ORDER)
    driver.step(driver.signalled("approval", " by kim"))
    driver.fire()
    driver.complete("charge", "receipt")
    driver.complete("reserve", True)
    driver.complete("reserve", True)
    driver.complete("ship")


def script_cancelled_before_it_began(driver: Driver) -> None:
    driver.start_later(3600, order=ORDER)
    driver.at = 60
    driver.step(driver.signalled("approval", " by kim"))
    driver.cancel_run("not needed")


Script = Callable[[Driver], None]
GOLDEN: dict[str, tuple[Workflow[..., Any], Script]] = {
    "approved-in-time": (approved_in_time, script_approved),
    "timed-out-and-refunded": (approved_in_time, script_timed_out),
    "retried-then-failed": (retried, script_retried),
    "failing-nursery": (failing_nursery, script_failing_nursery),
    "cancelled-activity": (cancelled_activity, script_cancelled),
    "delayed-start": (approved_in_time, script_delayed),
    "cancelled-before-it-began": (approved_in_time, script_cancelled_before_it_began),
}


def made_now(name: str) -> list[e.HistoryEvent]:
    """The history that the machine writes today."""
    code, script = GOLDEN[name]
    driver = Driver(code)
    script(driver)
    assert not driver.run.is_open
    return [without_stack(event) for event in driver.history]


def without_stack(event: e.HistoryEvent) -> e.HistoryEvent:
    """Stacks name lines of code, which move; they are for people only."""
    if isinstance(event, e.WorkflowFailed):
        return attrs.evolve(event, error=_bare(event.error))
    return event


def _bare(failure: Failure) -> Failure:
    return attrs.evolve(
        failure,
        stack="",
        cause=None if failure.cause is None else _bare(failure.cause),
        members=tuple(map(_bare, failure.members)),
    )


def path_of(name: str) -> Path:
    return FOLDER / f"{name}.json"


def read(name: str) -> list[e.HistoryEvent]:
    return [
        decode_event(
            row["kind"],
            json.dumps(row["fields"]),
            seq=row["seq"],
            recorded_at=datetime.fromisoformat(row["recorded_at"]),
            workflow_id=WorkflowId(row["workflow_id"]),
        )
        for row in json.loads(path_of(name).read_text(encoding="utf-8"))
    ]


if __name__ == "__main__":
    for each in sys.argv[1:]:
        save_history(made_now(each), path_of(each))
    close_all()
