"""The two worlds in which a scenario runs: real trio, and a real workflow machine."""

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs
import trio
import trio._core._run
import trio.testing

from aion_core import errors
from aion_core.authoring import timing
from aion_core.machine import channels, kernel, nursery, scopes, sync
from tests.machine.driver import at, check_replays, driven

Log = Callable[[object], None]
Outcome = list[object]

SEEDS = range(20)


@attrs.define(eq=False)
class World:
    """The names that both sides have, and a few that make them alike.

    Attributes:
        now: seconds since the scenario began.
        scope_until: a cancel scope with a deadline, in seconds since then.
        move_deadline: of a scope to so many seconds from now; None for never.
        kept: what is alive for as long as the scenario is, and longer.
    """

    open_nursery: Any
    CancelScope: Any
    move_on_after: Any
    fail_after: Any
    sleep: Any
    checkpoint: Any
    Event: Any
    Lock: Any
    Semaphore: Any
    open_memory_channel: Any
    Cancelled: type[BaseException]
    TooSlowError: type[Exception]
    WouldBlock: type[Exception]
    ClosedResourceError: type[Exception]
    BrokenResourceError: type[Exception]
    EndOfChannel: type[Exception]
    now: Callable[[], float]
    scope_until: Callable[[float], Any]
    move_deadline: Callable[[Any, float | None], None]
    kept: list[object] = attrs.field(factory=list)


Code = Callable[[World, Log], Awaitable[object]]


@attrs.frozen
class Scenario:
    """Code that runs in both worlds.

    Attributes:
        allowed: what it may log: one outcome, or several where trio leaves the order open.
    """

    code: Code
    allowed: tuple[Outcome, ...]

    @property
    def name(self) -> str:
        return self.code.__name__


def gives(*entries: object) -> Callable[[Code], Scenario]:
    """The decorated scenario logs this, in every order in which its tasks may run."""
    return lambda code: Scenario(code, (list(entries),))


def gives_one_of(*outcomes: Sequence[object]) -> Callable[[Code], Scenario]:
    """The decorated scenario logs one of these, by the order in which its tasks run."""
    return lambda code: Scenario(code, tuple(map(list, outcomes)))


def shape(error: BaseException) -> object:
    """An error as both worlds show it: the names of its types, groups as lists."""
    if isinstance(error, BaseExceptionGroup):
        return [shape(each) for each in error.exceptions]
    if isinstance(error, RuntimeError):
        return "RuntimeError"
    return type(error).__name__


def trio_world() -> World:
    def move_deadline(scope: trio.CancelScope, seconds: float | None) -> None:
        scope.deadline = float("inf") if seconds is None else trio.current_time() + seconds

    return World(
        open_nursery=trio.open_nursery,
        CancelScope=trio.CancelScope,
        move_on_after=trio.move_on_after,
        fail_after=trio.fail_after,
        sleep=trio.sleep,
        checkpoint=trio.lowlevel.checkpoint,
        Event=trio.Event,
        Lock=trio.Lock,
        Semaphore=trio.Semaphore,
        open_memory_channel=trio.open_memory_channel,
        Cancelled=trio.Cancelled,
        TooSlowError=trio.TooSlowError,
        WouldBlock=trio.WouldBlock,
        ClosedResourceError=trio.ClosedResourceError,
        BrokenResourceError=trio.BrokenResourceError,
        EndOfChannel=trio.EndOfChannel,
        now=lambda: round(trio.current_time(), 3),
        scope_until=lambda seconds: trio.CancelScope(deadline=seconds),
        move_deadline=move_deadline,
    )


def aion_world(begins_at: float) -> World:
    def seconds_now() -> float:
        return (timing.now() - at(begins_at)).total_seconds()

    def move_deadline(scope: scopes.CancelScope, seconds: float | None) -> None:
        scope.deadline = None if seconds is None else at(begins_at + seconds_now() + seconds)

    return World(
        open_nursery=nursery.open_nursery,
        CancelScope=scopes.CancelScope,
        move_on_after=timing.move_on_after,
        fail_after=timing.fail_after,
        sleep=timing.sleep,
        checkpoint=kernel.checkpoint,
        Event=sync.Event,
        Lock=sync.Lock,
        Semaphore=sync.Semaphore,
        open_memory_channel=channels.open_memory_channel,
        Cancelled=errors.Cancelled,
        TooSlowError=errors.TooSlowError,
        WouldBlock=errors.WouldBlock,
        ClosedResourceError=errors.ClosedResourceError,
        BrokenResourceError=errors.BrokenResourceError,
        EndOfChannel=errors.EndOfChannel,
        now=seconds_now,
        scope_until=lambda seconds: scopes.CancelScope(deadline=at(begins_at + seconds)),
        move_deadline=move_deadline,
    )


def on_trio(scenario: Scenario, seed: int) -> Outcome:
    """What it logs on trio, whose scheduler shuffles the tasks that can run."""
    world, log = trio_world(), list[object]()
    shuffling: random.Random = trio._core._run._r
    shuffling.seed(seed)
    trio.run(_logged, scenario, world, log, clock=trio.testing.MockClock(autojump_threshold=0))
    world.kept.clear()
    return log


def on_aion(scenario: Scenario, *, begins_at: float | None = None) -> Outcome:
    """What it logs in a workflow, whose timers fire in order, and whose history replays.

    Args:
        begins_at: seconds by the clock of the host until its code runs; it counts from then.
    """
    world, log = aion_world(begins_at or 0), list[object]()

    async def main() -> None:
        await _logged(scenario, world, log)

    driver = driven(main, not_before=begins_at)
    driver.fire_all()
    assert driver.result is None
    outcome = list(log)
    check_replays(driver)
    world.kept.clear()
    return outcome


async def _logged(scenario: Scenario, world: World, log: Outcome) -> None:
    """Run a scenario; what it returns or raises is logged, too."""
    try:
        value = await scenario.code(world, log.append)
    except BaseException as error:
        log.append(("raised", shape(error)))
    else:
        if value is not None:
            log.append(("returned", value))
