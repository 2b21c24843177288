"""Async generators: closed by the code, or left to be finished when all else has ended."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager

from tests.machine.dual.worlds import Log, World, gives, gives_one_of


@gives(1, "cleaned up", "after")
async def a_generator_is_closed_with_its_block(w: World, log: Log) -> None:
    async def numbers() -> AsyncGenerator[int, None]:
        try:
            yield 1
            yield 2
        finally:
            await w.sleep(1)
            log("cleaned up")

    async with aclosing(numbers()) as each:
        async for number in each:
            log(number)
            break
    log("after")


@gives([0, 1, 2], 3.0)
async def a_generator_may_wait_between_values(w: World, log: Log) -> None:
    async def ticks() -> AsyncGenerator[int, None]:
        for number in range(3):
            await w.sleep(1)
            yield number

    log([number async for number in ticks()])
    log(w.now())


@gives("stopped inside", "stopped outside")
async def cancellation_reaches_into_a_generator(w: World, log: Log) -> None:
    async def waits() -> AsyncGenerator[int, None]:
        try:
            await w.sleep(100)
            yield 1
        finally:
            log("stopped inside")

    with w.move_on_after(1):
        async with aclosing(waits()) as each:
            async for _ in each:
                log("never")
    log("stopped outside")


@gives("main ends", "cleaned up")
async def an_abandoned_generator_is_finished_after_the_code(w: World, log: Log) -> None:
    async def numbers() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            log("cleaned up")

    generator = numbers()
    w.kept.append(generator)
    await anext(generator)
    log("main ends")


@gives("main ends", "stopped")
async def clean_up_of_an_abandoned_generator_is_stopped_at_a_checkpoint(w: World, log: Log) -> None:
    async def numbers() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            try:
                await w.sleep(1)
                log("never")
            finally:
                log("stopped")

    generator = numbers()
    w.kept.append(generator)
    await anext(generator)
    log("main ends")


@gives("main ends", "cleaned up behind a shield")
async def clean_up_of_an_abandoned_generator_may_shield_itself(w: World, log: Log) -> None:
    async def numbers() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            with w.CancelScope(shield=True):
                await w.sleep(1)
                log("cleaned up behind a shield")

    generator = numbers()
    w.kept.append(generator)
    await anext(generator)
    log("main ends")


@gives_one_of(
    ["main ends", "cleaned up 0", "cleaned up 1"], ["main ends", "cleaned up 1", "cleaned up 0"]
)
async def all_abandoned_generators_are_finished(w: World, log: Log) -> None:
    async def numbers(name: int) -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            log(f"cleaned up {name}")

    for name in range(2):
        generator = numbers(name)
        w.kept.append(generator)
        await anext(generator)
    log("main ends")


@gives("entered", "left", "after")
async def a_scope_lives_in_a_context_manager(w: World, log: Log) -> None:
    @asynccontextmanager
    async def limited() -> AsyncGenerator[None, None]:
        with w.move_on_after(1):
            async with w.open_nursery() as nursery:
                nursery.start_soon(w.sleep, 100)
                try:
                    log("entered")
                    yield
                finally:
                    log("left")

    async with limited():
        await w.sleep(50)
    log("after")
