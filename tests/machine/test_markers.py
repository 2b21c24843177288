"""Markers: side effects, patches, and what is drawn at random."""

import random
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from aion_core import events as e
from aion_core.authoring.activities import activity
from aion_core.authoring.changes import patched, side_effect
from aion_core.authoring.concurrency import gather
from aion_core.authoring.drawing import rng, uuid4
from aion_core.authoring.signals import Signal
from aion_core.authoring.timing import sleep, start_timer
from aion_core.authoring.workflows import Workflow, workflow
from aion_core.errors import (
    ApplicationError,
    NonDeterminismError,
    NotInWorkflowError,
    SideEffectError,
)
from aion_core.machine.run import Run
from aion_core.machine.scopes import CancelScope
from tests.machine.driver import (
    CONVERTER,
    Driver,
    W,
    at,
    catalog_of,
    check_replays,
    driven,
    kinds,
    start_request,
)

go = Signal("go", int)


@activity
async def charge(amount: int) -> int:
    return amount


class Dice:
    """A source that is not deterministic."""

    def __init__(self) -> None:
        self.thrown = 0

    def throw(self) -> int:
        self.thrown += 1
        return self.thrown


def taking(fn: Callable[[], int]) -> Workflow[[], int]:
    @workflow(name="main")
    async def main() -> int:
        first = await side_effect(fn)
        await go.receive()
        return first

    return main


def begun(code: Workflow[[], int]) -> Driver:
    driver = Driver(code)
    driver.start()
    return driver


def test_a_side_effect_is_recorded_and_not_repeated() -> None:
    dice = Dice()
    driver = begun(taking(dice.throw))
    marker = driver.history[1]
    assert isinstance(marker, e.MarkerRecorded)
    assert (marker.name, marker.position) == ("aion.side_effect", "marker:0")
    driver.reload()
    driver.signal("go", 1)
    assert (driver.result, dice.thrown) == (1, 1)
    check_replays(driver)
    assert dice.thrown == 1


def test_a_side_effect_that_was_not_recorded_is_taken_again() -> None:
    dice = Dice()
    driver = begun(taking(dice.throw))
    again = Driver(driver.code, driver.history[:1])
    assert dice.thrown == 2
    assert kinds(again.step().events) == ["MarkerRecorded"]
    again.signal("go", 1)
    assert again.result == 2


def test_the_type_may_be_given() -> None:
    async def main() -> None:
        assert await side_effect(lambda: "a", str) == "a"
        assert await side_effect(lambda: None, int | None) is None

    assert kinds(driven(main).history)[-1] == "WorkflowCompleted"


def test_the_type_may_be_that_of_a_partial_of_a_function() -> None:
    def add(a: int, b: int) -> int:
        return a + b

    async def main() -> None:
        assert await side_effect(partial(add, 1, 2)) == 3

    assert kinds(driven(main).history)[-1] == "WorkflowCompleted"


def test_what_a_side_effect_returns_comes_back_as_it_was_stored() -> None:
    def tuples() -> list[tuple[int, ...]]:
        return [(1, 2)]

    async def main() -> None:
        assert await side_effect(tuples) == [(1, 2)]

    assert kinds(driven(main).history)[-1] == "WorkflowCompleted"


@pytest.mark.parametrize(
    "fn", [lambda: 1, time.time, random.random], ids=["lambda", "time", "random"]
)
def test_a_function_that_does_not_say_what_it_returns_needs_a_type(
    fn: Callable[[], object],
) -> None:
    async def main() -> None:
        with pytest.raises(TypeError, match=r"annotate its result, or give the type"):
            await side_effect(fn)

    assert kinds(driven(main).history) == ["WorkflowStarted", "WorkflowCompleted"]


def test_a_side_effect_is_a_plain_function() -> None:
    async def throw() -> int:
        return 1

    async def main() -> None:
        with pytest.raises(TypeError, match="takes a plain function without arguments"):
            await side_effect(throw)  # type: ignore[unused-coroutine]
        with pytest.raises(TypeError, match="takes a plain function without arguments"):
            await side_effect(partial(throw), int)
        with pytest.raises(TypeError, match="takes a plain function without arguments, not 5"):
            await side_effect(5, int)  # type: ignore[call-overload]
        with pytest.raises(SideEffectError, match="is async; make it a plain function"):
            await side_effect(lambda: sleep(1), int)

    assert kinds(driven(main).history)[-1] == "WorkflowCompleted"


def failing(thrown: list[int]) -> Workflow[[], str]:
    def fail() -> int:
        thrown.append(1)
        raise ApplicationError("no", type="No", details=[1])

    @workflow(name="main")
    async def main() -> str:
        try:
            await side_effect(fail)
        except SideEffectError as error:
            await go.receive()
            return f"{type(error).__name__} {error.type} {error.message} {error.details}"
        return ""

    return main


def test_what_a_side_effect_raises_is_recorded_and_the_same_when_replayed() -> None:
    thrown: list[int] = []
    live, again = Driver(failing(thrown)), Driver(failing(thrown))
    live.start()
    live.signal("go", 1)
    again.start()
    again.reload()
    again.signal("go", 1)
    assert live.result == again.result == "SideEffectError No no [1]"
    assert len(thrown) == 2
    check_replays(live)


def test_an_uncaught_failure_of_a_side_effect_fails_the_run_with_its_cause() -> None:
    async def main() -> None:
        await side_effect(lambda: 1 // 0, int)

    failure = driven(main).failure
    assert failure.type == "SideEffectError"
    assert failure.cause is not None
    assert failure.cause.type == "ZeroDivisionError"


def test_a_side_effect_that_does_not_fit_its_type_has_failed() -> None:
    async def main() -> None:
        with pytest.raises(SideEffectError, match="PayloadError"):
            await side_effect(lambda: "one", int)

    driver = driven(main)
    assert kinds(driver.history)[-1] == "WorkflowCompleted"
    check_replays(driver)


def test_a_side_effect_asks_the_workflow_for_nothing() -> None:
    async def main() -> None:
        with pytest.raises(SideEffectError, match="side_effect may change nothing"):
            await side_effect(lambda: start_timer("t", 5).is_running, bool)

    assert kinds(driven(main).history)[1:] == ["MarkerRecorded", "WorkflowCompleted"]


def test_nothing_is_taken_in_a_cancelled_scope() -> None:
    dice = Dice()

    async def main() -> None:
        with CancelScope() as scope:
            scope.cancel()
            await side_effect(dice.throw)

    assert (kinds(driven(main).history)[1:], dice.thrown) == (["WorkflowCompleted"], 0)


def test_side_effects_of_tasks_have_the_places_of_their_tasks() -> None:
    dice = Dice()

    async def main() -> None:
        assert await gather(side_effect(dice.throw), side_effect(dice.throw)) == (1, 2)

    driver = driven(main)
    places = [event.position for event in driver.history if isinstance(event, e.MarkerRecorded)]
    assert places == ["marker:0/0", "marker:1/0"]
    check_replays(driver)


def test_a_side_effect_is_not_taken_where_history_has_something_else() -> None:
    dice = Dice()

    @workflow(name="main")
    async def before() -> int:
        await charge(1)
        return await charge(2)

    @workflow(name="main")
    async def after() -> int:
        await side_effect(dice.throw)
        return await charge(2)

    driver = Driver(before)
    driver.start()
    driver.complete("charge", 1)
    with pytest.raises(NonDeterminismError):
        Driver(after, driver.history)
    assert dice.thrown == 0


def test_a_side_effect_goes_where_workflow_code_may_not() -> None:
    entered: list[str] = []

    class Guard:
        @contextmanager
        def __call__(self) -> Iterator[None]:
            yield

        @contextmanager
        def lifted(self) -> Iterator[None]:
            entered.append("in")
            yield
            entered.append("out")

    def look() -> int:
        return len(entered)

    run = Run(W, [], catalog_of(taking(look)), CONVERTER, Guard())
    events = run.step([start_request()], at(0)).events
    run.close()
    assert isinstance(events[1], e.MarkerRecorded)
    assert events[1].payload is not None
    assert (events[1].payload.data, entered) == (b"1", ["in", "out"])


@workflow(name="main")
async def unpatched() -> int:
    await go.receive()
    await charge(1)
    return await go.receive()


@workflow(name="main")
async def patched_code() -> int:
    await go.receive()
    if patched("no charge"):
        await sleep(1)
    else:
        await charge(1)
    return await go.receive()


def test_a_new_run_goes_the_new_way_and_says_so() -> None:
    driver = Driver(patched_code)
    driver.start()
    received, marker, timer = driver.signal("go", 1)
    assert isinstance(marker, e.MarkerRecorded)
    assert (marker.name, marker.position) == ("aion.patched:no charge", "marker:0")
    assert kinds([received, timer]) == ["SignalReceived", "TimerStarted"]
    driver.fire()
    driver.signal("go", 1)
    check_replays(driver)


def test_a_run_that_went_the_old_way_goes_on_so() -> None:
    driver = Driver(unpatched)
    driver.start()
    driver.signal("go", 1)
    again = Driver(patched_code, driver.history)
    again.complete("charge", 1)
    again.signal("go", 2)
    assert again.result == 2
    check_replays(again)


def test_a_run_that_had_not_come_there_goes_the_new_way() -> None:
    driver = Driver(unpatched)
    driver.start()
    again = Driver(patched_code, driver.history)
    assert kinds(again.signal("go", 1))[1:] == ["MarkerRecorded", "TimerStarted"]
    check_replays(again)


def test_the_first_call_decides_for_the_rest_of_the_run() -> None:
    async def main() -> None:
        assert patched("p")
        await go.receive()
        assert patched("p")
        assert patched("q")
        await go.receive()

    driver = driven(main)
    assert kinds(driver.signal("go", 1)) == ["SignalReceived", "MarkerRecorded"]
    check_replays(driver)


def test_a_patch_that_a_loop_meets_late_stays_undone_in_old_runs() -> None:
    def looping(is_new: bool) -> Workflow[[], int]:
        @workflow(name="main")
        async def main() -> int:
            for _ in range(3):
                await go.receive()
                if is_new and patched("p"):
                    await sleep(1)
                await charge(1)
            return 3

        return main

    driver = Driver(looping(False))
    driver.start()
    driver.signal("go", 1)
    again = Driver(looping(True), driver.history)
    again.complete("charge", 1)
    assert kinds(again.signal("go", 1)) == ["SignalReceived", "ActivityScheduled"]
    check_replays(again)


def test_a_patch_has_a_printable_id_and_is_asked_for_in_a_workflow() -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="non-empty printable text"):
            patched("")

    assert kinds(driven(main).history)[-1] == "WorkflowCompleted"
    with pytest.raises(NotInWorkflowError):
        patched("p")


@workflow(name="main")
async def drawing() -> list[str]:
    drawn = [str(uuid4()), str(rng().random()), str(rng().random())]
    await go.receive()
    return [*drawn, str(uuid4())]


def test_what_is_drawn_is_drawn_again_in_a_replay() -> None:
    live, again = Driver(drawing), Driver(drawing)
    live.start()
    live.signal("go", 1)
    again.start()
    again.reload()
    again.signal("go", 1)
    assert live.result == again.result
    assert len(set(live.result)) == 4
    check_replays(live)


def test_each_task_draws_its_own() -> None:
    drawn: list[float] = []

    async def draw() -> None:
        drawn.append(rng().random())

    async def main() -> None:
        await gather(draw(), draw())
        drawn.append(rng().random())

    driven(main)
    assert len(set(drawn)) == 3


def test_a_uuid_is_of_version_4() -> None:
    drawn: list[uuid.UUID] = []

    async def main() -> None:
        drawn.append(uuid4())

    driven(main)
    assert (drawn[0].version, drawn[0].variant) == (4, uuid.RFC_4122)


@pytest.mark.parametrize("draw", [rng, uuid4])
def test_a_draw_outside_a_workflow_is_refused(draw: Callable[[], object]) -> None:
    with pytest.raises(NotInWorkflowError):
        draw()


def test_a_side_effect_of_grown_code_is_taken_behind_a_note() -> None:
    """A retry is noted behind the last arrival and its intents."""
    dice = Dice()

    @workflow(name="main")
    async def before() -> int:
        return (await gather(charge(1)))[0]

    @workflow(name="main")
    async def after() -> int:
        return sum(await gather(charge(1), side_effect(dice.throw)))

    driver = Driver(before)
    driver.start()
    driver.fail("charge", non_retryable=False)
    driver.code = after
    driver.reload()
    (marker,) = driver.step().events
    assert isinstance(marker, e.MarkerRecorded)
    assert marker.payload is not None
    driver.complete("charge", 1)
    assert (driver.result, dice.thrown) == (2, 1)
    check_replays(driver)


def test_a_side_effect_is_not_taken_before_the_rest_of_what_is_recorded() -> None:
    dice = Dice()

    @workflow(name="main")
    async def before() -> int:
        return await charge(1)

    @workflow(name="main")
    async def after() -> int:
        await side_effect(dice.throw)
        return await charge(1)

    driver = Driver(before)
    driver.start()
    driver.code = after
    with pytest.raises(NonDeterminismError, match="asked for MarkerRecorded"):
        driver.reload()
    assert dice.thrown == 0
