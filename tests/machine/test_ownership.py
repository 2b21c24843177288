"""What was made in a run is used in that run; two runs of one process share nothing."""

from collections.abc import AsyncGenerator, Callable
from contextlib import nullcontext
from typing import Any

import pytest

from aion_core import events as e
from aion_core.authoring.signals import Signal
from aion_core.authoring.timing import fail_after, move_on_after, sleep
from aion_core.authoring.workflows import workflow
from aion_core.errors import NotInWorkflowError
from aion_core.ids import WorkflowId
from aion_core.machine.channels import open_memory_channel
from aion_core.machine.nursery import Nursery, open_nursery
from aion_core.machine.run import Run
from aion_core.machine.scopes import CancelScope
from aion_core.machine.sync import Event, Lock, Semaphore
from tests.machine.driver import CONVERTER, at, catalog_of, driven, start_request

go = Signal("go", int)


async def opened_nursery() -> Nursery:
    async with open_nursery() as nursery:
        pass
    return nursery


USES: dict[str, tuple[str, Callable[[], Any], Callable[[Any], Any]]] = {
    "event set": ("Event", Event, Event.set),
    "event is_set": ("Event", Event, Event.is_set),
    "event wait": ("Event", Event, Event.wait),
    "lock acquire": ("Lock", Lock, Lock.acquire),
    "lock acquire_nowait": ("Lock", Lock, Lock.acquire_nowait),
    "lock release": ("Lock", Lock, Lock.release),
    "lock locked": ("Lock", Lock, Lock.locked),
    "semaphore acquire": ("Semaphore", lambda: Semaphore(1), Semaphore.acquire),
    "semaphore release": ("Semaphore", lambda: Semaphore(1), Semaphore.release),
    "semaphore value": ("Semaphore", lambda: Semaphore(1), lambda made: made.value),
    "send": ("channel", lambda: open_memory_channel[int](1)[0], lambda end: end.send(1)),
    "send_nowait": (
        "channel",
        lambda: open_memory_channel[int](1)[0],
        lambda end: end.send_nowait(1),
    ),
    "receive": ("channel", lambda: open_memory_channel[int](1)[1], lambda end: end.receive()),
    "clone": ("channel", lambda: open_memory_channel[int](1)[1], lambda end: end.clone()),
    "close": ("channel", lambda: open_memory_channel[int](1)[1], lambda end: end.close()),
    "scope entered": ("CancelScope", CancelScope, CancelScope.__enter__),
    "scope cancelled": ("CancelScope", CancelScope, CancelScope.cancel),
    "deadline moved": ("CancelScope", CancelScope, lambda scope: setattr(scope, "deadline", at(9))),
    "shield moved": ("CancelScope", CancelScope, lambda scope: setattr(scope, "shield", True)),
    "nursery": ("nursery", opened_nursery, lambda nursery: nursery.start_soon(sleep, 1)),
}


async def awaited(value: Any) -> Any:
    return await value if hasattr(value, "__await__") else value


@pytest.mark.parametrize("use", USES)
def test_a_thing_of_another_run_is_refused_by_name(use: str) -> None:
    thing, make, try_it = USES[use]
    made: list[Any] = []

    async def owner() -> None:
        made.append(await awaited(make()))
        await go.receive()

    @workflow
    async def main() -> None:
        await awaited(try_it(made[0]))

    driven(owner)
    other = Run(WorkflowId("other"), [], catalog_of(main), CONVERTER, nullcontext)
    other.step([start_request(run_id="second")], at(0))
    assert isinstance(other.terminal, e.WorkflowFailed)
    failure = other.terminal.error
    assert failure.type == "WorkflowUsageError"
    assert failure.message == (
        f"this {thing} belongs to workflow 'w' (run run), but workflow 'other' (run second) used "
        "it; make one in each run"
    )


@pytest.mark.parametrize(
    "make",
    [
        Event,
        Lock,
        lambda: Semaphore(1),
        lambda: open_memory_channel[int](1),
        CancelScope,
        lambda: move_on_after(1),
        lambda: fail_after(1).__enter__(),
        lambda: open_nursery().__aenter__().send(None),
    ],
)
def test_nothing_is_made_outside_of_a_workflow(make: Callable[[], object]) -> None:
    with pytest.raises(NotInWorkflowError):
        make()


def test_a_thing_is_not_used_between_activations() -> None:
    made: list[Event] = []

    async def main() -> None:
        made.append(Event())
        await made[0].wait()

    driver = driven(main)
    with pytest.raises(NotInWorkflowError):
        made[0].set()
    assert driver.run.is_open


def test_a_scope_in_a_generator_is_not_left_by_another_run() -> None:
    kept: list[AsyncGenerator[int, None]] = []

    async def limited() -> AsyncGenerator[int, None]:
        with CancelScope():
            yield 1

    async def owner() -> None:
        kept.append(limited())
        await anext(kept[0])
        await go.receive()

    async def main() -> None:
        await anext(kept[0])

    driven(owner)
    assert "this CancelScope belongs to workflow 'w'" in driven(main).failure.message


def test_clean_up_of_a_run_that_is_thrown_away_may_use_its_things() -> None:
    log: list[str] = []

    async def main() -> None:
        event, lock = Event(), Lock()
        send, receive = open_memory_channel[int](1)
        try:
            async with lock, send, receive:
                await go.receive()
        finally:
            event.set()
            log.append("cleaned up")

    driven(main).run.close()
    assert log == ["cleaned up"]
