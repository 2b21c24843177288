"""Tales of several things at once in one run."""

from __future__ import annotations

import contextvars
from collections.abc import AsyncGenerator

import aion_runtime as aion
from aion_runtime.testing.script import cancel, fire, outcome, signal
from tests.golden.acts import charge, refund, ship
from tests.golden.tales import Tale, Value

go = aion.Signal("go", int)
who = contextvars.ContextVar("who", default="nobody")


@aion.workflow
async def gathering() -> list[str]:
    async def twice(item: str) -> str:
        return await ship(item) + await ship(item)

    return list(await aion.gather(ship("a"), twice("b"), twice("c")))


@aion.workflow
async def first_failure() -> list[str]:
    done: list[str] = []

    async def sibling() -> None:
        try:
            await ship("a")
        except aion.Cancelled:
            done.append("stopped")
            raise

    try:
        async with aion.open_nursery() as nursery:
            nursery.start_soon(sibling)
            nursery.start_soon(refund, 1)
            await go.receive()
    except* aion.ActivityError as group:
        done += [str(len(group.exceptions))]
    return done


@aion.workflow
async def two_failures() -> list[str]:
    async def failing(number: int) -> None:
        try:
            await aion.sleep(100)
        finally:
            raise ValueError(str(number))

    found: list[str] = []
    try:
        async with aion.open_nursery() as nursery:
            nursery.start_soon(failing, 1)
            nursery.start_soon(failing, 2)
            await go.receive()
            nursery.cancel_scope.cancel()
    except* ValueError as group:
        found = sorted(str(error) for error in group.exceptions)
    return found


@aion.workflow
async def in_turns() -> list[str]:
    done: list[str] = []

    async def worker(name: str) -> None:
        for number in range(2):
            await aion.checkpoint()
            done.append(f"{name}{number}")
        done.append(await ship(name))

    async with aion.open_nursery() as nursery:
        nursery.start_soon(worker, "a")
        nursery.start_soon(worker, "b")
    return done


@aion.workflow
async def with_context() -> list[str]:
    seen: list[str] = []

    async def child(name: str) -> None:
        who.set(name)
        await ship(name)
        seen.append(who.get())

    who.set("parent")
    async with aion.open_nursery() as nursery:
        nursery.start_soon(child, "a")
        nursery.start_soon(child, "b")
    return [*seen, who.get()]


@aion.workflow
async def with_generator() -> list[str]:
    log: list[str] = []

    async def steps() -> AsyncGenerator[str, None]:
        try:
            for name in ("a", "b", "c"):
                yield await ship(name)
        finally:
            log.append("closed")
            await aion.checkpoint()

    async for step in steps():
        log.append(step)
        if step == "B":
            break
    await aion.sleep(5)
    return log


@aion.workflow
async def racing() -> list[Value]:
    winner = await aion.race(ship("a"), ship("b"))
    try:
        await aion.race(go.receive(), refund(1))
    except aion.ActivityError:
        return [winner, "failed first"]
    return [winner, "received first"]


@aion.workflow
async def mapping() -> list[int]:
    return await aion.map(charge, [1, 2, 3, 4], limit=2)


@aion.workflow
async def with_event() -> list[str]:
    done: list[str] = []
    opened = aion.Event()

    async def waiter(name: str) -> None:
        await opened.wait()
        done.append(await ship(name))

    async with aion.open_nursery() as nursery:
        nursery.start_soon(waiter, "a")
        nursery.start_soon(waiter, "b")
        await go.receive()
        opened.set()
    return done


@aion.workflow
async def with_lock() -> list[str]:
    done: list[str] = []
    lock = aion.Lock()

    async def worker(name: str) -> None:
        async with lock:
            done.append(await ship(name))
            await aion.sleep(1)

    async with aion.open_nursery() as nursery:
        for name in ("a", "b", "c"):
            nursery.start_soon(worker, name)
    return done


@aion.workflow
async def with_semaphore() -> list[str]:
    done: list[str] = []
    slots = aion.Semaphore(2)

    async def worker(name: str) -> None:
        async with slots:
            done.append(await ship(name))

    async with aion.open_nursery() as nursery:
        for name in ("a", "b", "c", "d"):
            nursery.start_soon(worker, name)
    return done


@aion.workflow
async def with_channel() -> list[str]:
    done: list[str] = []
    send, receive = aion.open_memory_channel[int](1)

    async def consumer() -> None:
        async for value in receive:
            paid = await charge(value)
            done.append(f"{paid}")

    async with aion.open_nursery() as nursery:
        nursery.start_soon(consumer)
        async with send:
            for _ in range(2):
                await send.send(await go.receive())
            await send.send(99)
    return done


@aion.workflow
async def until_it_is_so() -> int:
    total = 0

    async def adder() -> None:
        nonlocal total
        async for value in go:
            total += value

    async with aion.open_nursery() as nursery:
        nursery.start_soon(adder)
        await aion.wait_until(lambda: total >= 10)
        total += 100 * await charge(total)
        nursery.cancel_scope.cancel()
    return total


TALES = [
    Tale(
        gathering,
        [
            outcome(ship, "b", nth=1),
            outcome(ship, "c", nth=1),
            outcome(ship, "a"),
            [outcome(ship, "C", nth=1), outcome(ship, "B")],
        ],
        ["a", "bB", "cC"],
        extras=[outcome(ship, ValueError("no")), fire()],
    ),
    Tale(
        first_failure,
        [outcome(refund, ValueError("no"))],
        ["stopped", "1"],
        extras=[outcome(ship, "a"), signal(go, 1), cancel()],
    ),
    Tale(two_failures, [signal(go, 1)], ["1", "2"], extras=[fire(), cancel()]),
    Tale(
        in_turns,
        [outcome(ship, "B", nth=1), outcome(ship, "A")],
        ["a0", "b0", "a1", "b1", "B", "A"],
        extras=[cancel()],
    ),
    Tale(
        with_context,
        [outcome(ship, "x", nth=1), outcome(ship, "y")],
        ["b", "a", "parent"],
        extras=[cancel()],
    ),
    Tale(
        with_generator,
        [outcome(ship, "A"), outcome(ship, "B"), fire()],
        ["A", "B"],
        extras=[cancel()],
    ),
    Tale(
        racing,
        [outcome(ship, "b", nth=1), outcome(refund, ValueError("no"))],
        ["b", "failed first"],
        extras=[signal(go, 1), [outcome(ship, "A"), outcome(ship, "B")], cancel()],
    ),
    Tale(
        mapping,
        [
            outcome(charge, 20, nth=1),
            outcome(charge, 30, nth=1),
            outcome(charge, 10),
            outcome(charge, 40),
        ],
        [10, 20, 30, 40],
        extras=[outcome(charge, ValueError("no")), fire()],
    ),
    Tale(
        with_event,
        [signal(go, 1), outcome(ship, "B", nth=1), outcome(ship, "A")],
        ["B", "A"],
        extras=[cancel()],
    ),
    Tale(
        with_lock,
        [outcome(ship, "A"), fire(), outcome(ship, "B"), fire(), outcome(ship, "C"), fire()],
        ["A", "B", "C"],
        extras=[cancel()],
    ),
    Tale(
        with_semaphore,
        [
            outcome(ship, "B", nth=1),
            outcome(ship, "C", nth=1),
            outcome(ship, "A"),
            outcome(ship, "D"),
        ],
        ["B", "C", "A", "D"],
        extras=[cancel()],
    ),
    Tale(
        with_channel,
        [signal(go, 1), signal(go, 2), outcome(charge, 1), outcome(charge, 2), outcome(charge, 99)],
        ["1", "2", "99"],
        extras=[[outcome(charge, 5), signal(go, 3)], cancel()],
    ),
    Tale(
        until_it_is_so,
        [signal(go, 4), [signal(go, 5), signal(go, 6)], outcome(charge, 2)],
        215,
        extras=[signal(go, 20), cancel()],
    ),
]
