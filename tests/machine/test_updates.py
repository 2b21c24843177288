"""Updates and queries: what a run is asked to change, and what it is asked."""

from collections.abc import Awaitable, Callable

import pytest

from aion_core import events as e
from aion_core.authoring.activities import activity
from aion_core.authoring.changes import patched
from aion_core.authoring.children import ChildHandle
from aion_core.authoring.drawing import rng
from aion_core.authoring.info import set_attributes, workflow_info
from aion_core.authoring.queries import Query
from aion_core.authoring.signals import Signal
from aion_core.authoring.timing import move_on_after, now, sleep, start_timer
from aion_core.authoring.updates import Update
from aion_core.authoring.workflows import workflow
from aion_core.errors import (
    ApplicationError,
    Cancelled,
    NotInWorkflowError,
    PayloadError,
    QueryError,
    UpdateRejectedError,
    WorkflowClosedError,
)
from aion_core.machine import arrivals as a
from aion_core.machine.run import LATER
from aion_core.machine.scopes import CancelScope
from tests.machine.driver import Driver, at, check_replays, driven, kinds, refusal_of

go = Signal("go", int)
state = Query("state", str)
total = Query("total", int | None)
add = Update("add", int, int)


@activity
async def charge(amount: int) -> int:
    return amount


@workflow
async def account() -> int:
    balance = 0

    async def change(amount: int) -> int:
        nonlocal balance
        balance += await charge(amount)
        return balance

    def check(amount: int) -> None:
        if amount < 0:
            raise ApplicationError("only more")

    add.handle(change, validator=check)
    total.answer(lambda: balance)
    await go.receive()
    return balance


def begun() -> Driver:
    driver = Driver(account)
    driver.start()
    return driver


def test_an_update_is_handled_by_a_task_and_answered() -> None:
    driver = begun()
    assert kinds(driver.update("add", 3)) == ["UpdateAccepted", "ActivityScheduled"]
    assert driver.row("charge").activity_id == "activity:u0/0"
    completed, answered = driver.complete("charge", 5)
    assert isinstance(answered, e.UpdateCompleted)
    assert (kinds([completed]), answered.result.data) == (["ActivityCompleted"], b"5")
    driver.signal("go", 1)
    assert driver.result == 5
    check_replays(driver)


def test_handlers_are_counted_as_their_updates_are_accepted() -> None:
    driver = begun()
    driver.update("add", 3)
    driver.update("add", 4)
    rows = driver.run.projection.activities.values()
    assert [row.activity_id for row in rows] == ["activity:u0/0", "activity:u1/0"]
    driver.complete("charge", 1)
    driver.complete("charge", 1)
    check_replays(driver)


def test_a_plain_function_answers_at_once() -> None:
    async def main() -> None:
        add.handle(lambda amount: amount + 1)
        await go.receive()

    driver = driven(main)
    assert kinds(driver.update("add", 3)) == ["UpdateAccepted", "UpdateCompleted"]
    check_replays(driver)


def test_what_a_handler_raises_fails_the_update_and_not_the_run() -> None:
    driver = begun()
    driver.update("add", 3)
    events = driver.fail("charge")
    assert kinds(events) == ["ActivityFailed", "UpdateFailed"]
    failed = events[-1]
    assert isinstance(failed, e.UpdateFailed)
    assert failed.error.type == "ActivityError"
    assert driver.run.is_open
    check_replays(driver)


def test_an_answer_that_does_not_fit_fails_the_update() -> None:
    async def main() -> None:
        add.handle(lambda amount: "three")  # type: ignore[arg-type]
        await go.receive()

    failed = driven(main).update("add", 3)[-1]
    assert isinstance(failed, e.UpdateFailed)
    assert failed.error.type == "PayloadError"


def test_what_the_validator_refuses_is_not_recorded() -> None:
    driver = begun()
    step = driver.step(driver.updated("add", -1))
    refusal = refusal_of(step)
    assert (step.events, type(refusal)) == ([], UpdateRejectedError)
    assert str(refusal) == "update 'add' was rejected: ApplicationError: only more"
    assert isinstance(refusal.__cause__, ApplicationError)


def test_an_argument_that_does_not_fit_is_refused() -> None:
    step = begun().step(begun().updated("add", "three"))
    assert (step.events, type(refusal_of(step))) == ([], PayloadError)


def test_an_update_that_no_code_handles_is_refused_with_the_nearest() -> None:
    driver = begun()
    refusal = refusal_of(driver.step(driver.updated("ad", 1)))
    assert isinstance(refusal, UpdateRejectedError)
    assert str(refusal).endswith("handles no update 'ad'; did you mean 'add'?")


CHANGES: list[Callable[[], object]] = [
    lambda: start_timer("t", 5),
    lambda: set_attributes(stage="x"),
    lambda: patched("p"),
    rng,
    go.receive_nowait,
    lambda: CancelScope(relative_deadline=5).__enter__(),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_validator_changes_nothing(change: Callable[[], object]) -> None:
    async def main() -> None:
        add.handle(lambda amount: amount, validator=lambda amount: change())
        await go.receive()

    driver = driven(main)
    before = list(driver.history)
    refusal = refusal_of(driver.step(driver.updated("add", 3)))
    assert isinstance(refusal, UpdateRejectedError)
    assert "the validator of update 'add' may change nothing" in str(refusal)
    assert driver.history == before
    driver.signal("go", 1)
    check_replays(driver)


def test_a_validator_stops_no_child() -> None:
    @workflow
    async def child() -> None: ...

    async def main() -> None:
        handle: ChildHandle[None] = await child.spawn()
        add.handle(lambda amount: amount, validator=lambda amount: handle.cancel())
        await go.receive()
        handle.cancel()
        await go.receive()

    driver = driven(main)
    assert isinstance(refusal_of(driver.step(driver.updated("add", 3))), UpdateRejectedError)
    assert kinds(driver.signal("go", 1)) == ["SignalReceived", "ChildCancelRequested"]
    check_replays(driver)


def test_a_validator_stops_no_timer() -> None:
    async def main() -> None:
        timer = start_timer("t", 5)
        add.handle(lambda amount: amount, validator=lambda amount: timer.cancel())
        assert await timer.wait()

    driver = driven(main)
    assert isinstance(refusal_of(driver.step(driver.updated("add", 3))), UpdateRejectedError)
    assert kinds(driver.fire()) == ["TimerFired", "WorkflowCompleted"]


def test_a_validator_may_look_at_the_clock() -> None:
    async def main() -> None:
        add.handle(lambda amount: amount, validator=lambda amount: now())
        await go.receive()

    assert kinds(driven(main).update("add", 3))[-1] == "UpdateCompleted"


def test_validator_and_answer_are_plain_functions() -> None:
    async def check(amount: int) -> None: ...
    async def show() -> str:
        return ""

    async def main() -> None:
        with pytest.raises(TypeError, match="the validator of update 'add' is a plain function"):
            add.handle(lambda amount: amount, validator=check)
        with pytest.raises(TypeError, match="update 'add' is handled by a function, not by 7"):
            add.handle(7)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="answered by a plain function without arguments"):
            state.answer(show)  # type: ignore[arg-type]

    assert kinds(driven(main).history)[-1] == "WorkflowCompleted"


def test_handlers_and_answers_are_given_in_workflows() -> None:
    with pytest.raises(NotInWorkflowError):
        add.handle(lambda amount: amount)
    with pytest.raises(NotInWorkflowError):
        state.answer(lambda: "")


def test_a_repeated_update_is_recorded_once() -> None:
    driver = begun()
    step = driver.step(driver.updated("add", 3, "same"), driver.updated("add", 3, "same"))
    assert (kinds(step.events), step.refusals) == (
        ["UpdateAccepted", "ActivityScheduled"],
        [None, None],
    )


def test_a_handler_at_work_when_the_root_returns_is_answered_before_the_end() -> None:
    driver = begun()
    driver.update("add", 3)
    assert kinds(driver.signal("go", 1)) == ["SignalReceived", "ActivityCancelRequested"]
    assert driver.run.is_open
    events = driver.cancel("charge")
    assert kinds(events) == ["ActivityCancelled", "UpdateFailed", "WorkflowCompleted"]
    failed = events[1]
    assert isinstance(failed, e.UpdateFailed)
    assert failed.error.type == "WorkflowClosedError"
    check_replays(driver)


def test_a_handler_that_needs_nothing_more_is_failed_in_the_same_activation() -> None:
    async def main() -> None:
        async def change(amount: int) -> int:
            await sleep(60)
            return amount

        add.handle(change)
        await go.receive()

    driver = driven(main)
    driver.update("add", 3)
    assert kinds(driver.signal("go", 1)) == [
        "SignalReceived",
        "TimerCancelled",
        "UpdateFailed",
        "WorkflowCompleted",
    ]
    check_replays(driver)


def test_a_handler_that_gets_its_result_while_the_run_closes_gives_its_answer() -> None:
    driver = begun()
    driver.update("add", 3)
    driver.signal("go", 1)
    events = driver.complete("charge", 3)
    assert kinds(events) == ["ActivityCompleted", "UpdateCompleted", "WorkflowCompleted"]
    check_replays(driver)


def closing() -> Driver:
    """A run whose root has returned while a handler is still at work."""
    driver = begun()
    driver.update("add", 3)
    driver.signal("go", 1)
    return driver


def requests(driver: Driver) -> list[a.Arrival]:
    return [driver.signalled("go", 1), driver.updated("add", 1), a.CancelRequest(reason="stop")]


@pytest.mark.parametrize("index", [0, 1, 2], ids=["signal", "update", "cancel"])
def test_a_closing_run_takes_nothing_more(index: int) -> None:
    driver = closing()
    step = driver.step(requests(driver)[index])
    assert (step.events, type(refusal_of(step))) == ([], WorkflowClosedError)


@pytest.mark.parametrize("index", [0, 1, 2], ids=["signal", "update", "cancel"])
def test_what_comes_to_a_run_that_is_about_to_continue_has_to_wait(index: int) -> None:
    @workflow(name="main")
    async def main() -> None:
        async def change(amount: int) -> int:
            return await charge(amount)

        add.handle(change)
        await go.receive()
        main.continue_as_new()

    driver = Driver(main)
    driver.start()
    driver.update("add", 3)
    driver.signal("go", 1)
    assert driver.run.is_continuing
    step = driver.step(requests(driver)[index])
    assert (step.events, refusal_of(step)) == ([], LATER)


def test_a_handler_cancelled_by_a_request_is_failed_by_that() -> None:
    async def main() -> None:
        async def change(amount: int) -> int:
            await sleep(60)
            return amount

        add.handle(change)
        try:
            await go.receive()
        except Cancelled:
            with CancelScope(shield=True):
                await charge(1)
            raise

    driver = driven(main)
    driver.update("add", 3)
    events = driver.cancel_run()
    assert kinds(events) == [
        "WorkflowCancelRequested",
        "TimerCancelled",
        "ActivityScheduled",
        "UpdateFailed",
    ]
    failed = events[-1]
    assert isinstance(failed, e.UpdateFailed)
    assert (failed.error.type, failed.error.message) == (
        "Cancelled",
        "its workflow was asked to stop: enough",
    )
    check_replays(driver)


def test_an_async_function_in_a_lambda_is_awaited() -> None:
    def handler(amount: int) -> Awaitable[int]:
        return charge(amount)

    async def main() -> None:
        add.handle(handler)
        await go.receive()

    driver = driven(main)
    driver.update("add", 3)
    assert kinds(driver.complete("charge", 4)) == ["ActivityCompleted", "UpdateCompleted"]


def test_whether_handlers_are_at_work_is_known() -> None:
    async def main() -> None:
        async def change(amount: int) -> int:
            return await charge(amount)

        add.handle(change)
        state.answer(lambda: str(workflow_info().all_handlers_finished))
        await go.receive()

    driver = driven(main)
    known = [driver.ask("state")]
    driver.update("add", 3)
    known.append(driver.ask("state"))
    driver.complete("charge", 3)
    known.append(driver.ask("state"))
    assert known == ["True", "False", "True"]


def test_a_query_is_answered_by_the_state_as_it_is() -> None:
    driver = begun()
    assert driver.ask("total") == 0
    driver.update("add", 3)
    driver.complete("charge", 3)
    assert driver.ask("total") == 3
    driver.reload()
    assert driver.ask("total") == 3


def test_a_query_is_answered_after_the_end() -> None:
    driver = begun()
    driver.signal("go", 1)
    assert driver.ask("total") == 0


def test_a_query_that_the_code_does_not_know_names_the_nearest() -> None:
    with pytest.raises(QueryError, match=r"no answer to the query 'totl'; did you mean 'total'\?"):
        begun().ask("totl")


@pytest.mark.parametrize("change", CHANGES)
def test_an_answer_changes_nothing(change: Callable[[], object]) -> None:
    async def main() -> None:
        state.answer(lambda: str(change()))
        await go.receive()

    driver = driven(main)
    with pytest.raises(QueryError, match="the answer to query 'state' may change nothing"):
        driver.ask("state")
    driver.signal("go", 1)
    check_replays(driver)


def test_an_answer_that_fails_or_does_not_fit_is_an_error_of_the_query() -> None:
    async def main() -> None:
        state.answer(lambda: str(1 // 0))
        total.answer(lambda: "three")  # type: ignore[arg-type, return-value]
        await go.receive()

    driver = driven(main)
    with pytest.raises(QueryError, match="failed: ZeroDivisionError"):
        driver.ask("state")
    with pytest.raises(QueryError, match="does not fit its type"):
        driver.ask("total")
    assert driver.run.is_open


def test_an_answer_sees_the_clock_of_the_run() -> None:
    async def main() -> None:
        state.answer(lambda: now().isoformat())
        await go.receive()

    driver = driven(main)
    driver.at = 60
    assert driver.ask("state") == at(0).isoformat()


@pytest.mark.parametrize("seconds", [0, 5])
def test_a_question_leaves_no_scope_behind(seconds: int) -> None:
    async def main() -> None:
        def answer() -> int:
            with move_on_after(seconds):
                pass
            return 1

        total.answer(answer)
        await charge(1)
        await sleep(3)

    driver = driven(main)
    with pytest.raises(QueryError, match="asked for a change to a CancelScope"):
        driver.ask("total")
    driver.complete("charge", 1)
    assert list(driver.run.projection.timers) == ["timer:0"]
    check_replays(driver)


@pytest.mark.parametrize(
    "register", [lambda: add.handle(lambda amount: amount), lambda: state.answer(lambda: "")]
)
def test_a_question_has_nothing_handled_or_answered(register: Callable[[], None]) -> None:
    async def main() -> None:
        def answer() -> int:
            register()
            return 1

        total.answer(answer)
        await go.receive()

    driver = driven(main)
    with pytest.raises(QueryError, match="may change nothing"):
        driver.ask("total")
    assert isinstance(refusal_of(driver.step(driver.updated("add", 1))), UpdateRejectedError)
