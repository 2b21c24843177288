"""What the code of a run says that it waits for."""

from __future__ import annotations

from aion_core.authoring.signals import Signal
from aion_core.authoring.timing import sleep
from aion_core.authoring.workflows import workflow
from aion_core.machine.nursery import open_nursery
from aion_core.machine.predicates import wait_until
from aion_core.machine.sync import Event
from aion_core.machine.waits import WAITS_QUERY, Wait
from tests.machine.driver import CONVERTER, Driver, check_replays, start_request

go = Signal("go", int)


def line_of(fn: object, offset: int) -> int:
    return fn.__code__.co_firstlineno + offset  # type: ignore[attr-defined]


def asked(driver: Driver) -> list[Wait]:
    waits: list[Wait] = CONVERTER.decode(driver.run.ask(WAITS_QUERY), list[Wait])
    return waits


def begun(code: object) -> Driver:
    driver = Driver(code)  # type: ignore[arg-type]
    driver.step(start_request())
    return driver


def test_signals_conditions_and_lines_are_told_in_order_of_tasks() -> None:
    async def receiver() -> None:
        await go.receive()

    async def sleeper() -> None:
        await sleep(5)

    async def main() -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(receiver)
            nursery.start_soon(sleeper)
            await wait_until(lambda: False)

    driver = begun(workflow(main))
    assert asked(driver) == [
        Wait("condition", "", __file__, line_of(main, 4)),
        Wait("signal", "go", __file__, line_of(receiver, 1)),
        Wait("task", "", __file__, line_of(sleeper, 1)),
    ]
    check_replays(driver)


def test_what_is_received_is_awaited_no_more() -> None:
    async def main() -> None:
        await go.receive()
        await Event().wait()

    driver = begun(workflow(main))
    assert [(wait.kind, wait.name) for wait in asked(driver)] == [("signal", "go")]
    driver.signal("go", 1)
    assert asked(driver) == [Wait("task", "", __file__, line_of(main, 2))]


def test_asking_leaves_no_trace() -> None:
    async def main() -> None:
        await go.receive()

    driver = begun(workflow(main))
    before = list(driver.history)
    asked(driver)
    assert driver.history == before
    assert not driver.run.step([], driver.history[-1].recorded_at).events
