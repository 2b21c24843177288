"""Tales of signals, queries and updates."""

from __future__ import annotations

import aion_runtime as aion
from aion_runtime.testing.script import ask, cancel, fire, outcome, signal, start, update
from tests.golden.acts import charge, ship
from tests.golden.tales import Tale, Value

word = aion.Signal("word", str)
amount = aion.Signal("amount", int)
state = aion.Query("state", str)
add = aion.Update("add", int, int)
deliver = aion.Update("deliver", str, str)


@aion.workflow(accepts=[word, amount])
async def receiving() -> list[Value]:
    first = await amount.receive()
    await aion.sleep(10)
    got: list[Value] = [first]
    try:
        while True:
            got.append(word.receive_nowait())
    except aion.WouldBlock:
        got.append("no more")
    return [*got, await amount.receive()]


@aion.workflow
async def listening() -> list[str]:
    heard: list[str] = []
    async for each in word:
        heard.append(each)
        if each == "stop":
            break
        await ship(each)
    return heard


@aion.workflow
async def two_receivers() -> list[str]:
    """Who began to wait first is served first; one that left in between takes nothing."""
    done: list[str] = []

    async def receiver(name: str, patience: float) -> None:
        with aion.move_on_after(patience):
            done.append(f"{name} {await word.receive()}")

    async with aion.open_nursery() as nursery:
        nursery.start_soon(receiver, "a", 10)
        nursery.start_soon(receiver, "b", 100)
        nursery.start_soon(receiver, "c", 100)
    return done


@aion.workflow
async def sender(to: str) -> str:
    for each in ("good", "bye"):
        await word.send(to, each)
    answer = await word.receive()
    await word.send(to, "too late")
    return answer


@aion.workflow
async def peer(to: str) -> str:
    heard = f"{await word.receive()} {await word.receive()}"
    await word.send(to, f"heard {heard}")
    return heard


@aion.workflow(accepts=[word, state])
async def telling() -> str:
    now = "begun"
    state.answer(lambda: now)
    now = f"told {await word.receive()}"
    await aion.sleep(10)
    now = await ship(now)
    return "over"


@aion.workflow(accepts=[add, word])
async def counter() -> int:
    total = 0

    def change(by: int) -> int:
        nonlocal total
        total += by
        return total

    def check(by: int) -> None:
        if by > total + 10:
            raise ValueError("too much at once")

    add.handle(change, validator=check)
    await word.receive()
    return total


@aion.workflow
async def working_for_others() -> list[str]:
    """A handler calls activities; the workflow waits for it before it ends."""
    done: list[str] = []

    async def handler(item: str) -> str:
        sent = await ship(item)
        done.append(sent)
        return f"{sent} as number {len(done)}"

    deliver.handle(handler)
    await word.receive()
    while not aion.workflow_info().all_handlers_finished:
        await aion.sleep(10)
    return done


@aion.workflow
async def leaving_a_handler() -> int:
    """The handler is at work when the workflow returns; whoever asked is told that it closed."""

    async def handler(item: str) -> str:
        return await ship(item)

    deliver.handle(handler)
    return await charge(1)


@aion.workflow
async def failing_handler() -> str:
    async def handler(item: str) -> str:
        raise aion.ApplicationError(f"{item} is broken", type="Broken")

    deliver.handle(handler)
    return await word.receive()


@aion.workflow
async def early_sender() -> str:
    """What is sent to a workflow that does not exist waits for it."""
    await word.send("later", "good")
    await ship("a")
    await word.send("later", "bye")
    return await word.receive()


@aion.workflow
async def taking_turns() -> list[str]:
    """Handlers of several updates at once, one after the other where it matters."""
    done: list[str] = []
    turn = aion.Lock()

    async def handler(item: str) -> str:
        async with turn:
            done.append(await ship(item))
            if item == "b":
                await word.send("explored", item)
            return f"{len(done)}"

    deliver.handle(handler)
    with aion.move_on_after(1_000):
        done.append(await word.receive())
        await aion.wait_until(lambda: aion.workflow_info().all_handlers_finished)
    return done


TALES = [
    Tale(
        receiving,
        [signal(word, "early"), signal(amount, 1), signal(amount, 2), signal(word, "x"), fire()],
        [1, "early", "x", "no more", 2],
        extras=[[signal(word, "y"), signal(amount, 3)], cancel()],
    ),
    Tale(
        listening,
        [
            signal(word, "a"),
            signal(word, "b"),
            outcome(ship, "A"),
            outcome(ship, "B"),
            signal(word, "stop"),
        ],
        ["a", "b", "stop"],
        extras=[[signal(word, "c"), outcome(ship, "C")], cancel()],
    ),
    Tale(
        two_receivers,
        [fire(), [signal(word, "x"), signal(word, "y")]],
        ["b x", "c y"],
        extras=[[signal(word, "z"), fire()], signal(word, "w"), cancel()],
    ),
    Tale(
        sender,
        [start(peer, "explored", workflow_id="peer")],
        "heard good bye",
        args=("peer",),
        extras=[signal(word, "hurry"), cancel(), cancel(to="peer")],
        workflows=(peer,),
    ),
    Tale(
        telling,
        [
            ask(state),
            signal(word, "all"),
            ask(state),
            fire(),
            ask(state),
            outcome(ship, "sent"),
            ask(state),
        ],
        "over",
        extras=[cancel()],
    ),
    Tale(
        counter,
        [update(add, 5), update(add, 50), [update(add, 7), update(add, 8)], signal(word, "stop")],
        20,
        extras=[[update(add, 1), signal(word, "stop")], update(add, 2), cancel()],
    ),
    Tale(
        working_for_others,
        [
            update(deliver, "a"),
            update(deliver, "b"),
            signal(word, "stop"),
            outcome(ship, "B", nth=1),
            fire(),
            outcome(ship, "A"),
            fire(),
        ],
        ["B", "A"],
        extras=[cancel()],
    ),
    Tale(
        leaving_a_handler,
        [update(deliver, "a"), outcome(charge, 1)],
        1,
        extras=[outcome(ship, "a"), update(deliver, "b"), cancel()],
    ),
    Tale(
        early_sender,
        [outcome(ship, "A"), start(peer, "explored", workflow_id="later")],
        "heard good bye",
        extras=[signal(word, "hurry", to="later"), cancel()],
        workflows=(peer,),
    ),
    Tale(
        taking_turns,
        [
            update(deliver, "a"),
            [update(deliver, "b"), outcome(ship, "A")],
            update(deliver, "c"),
            outcome(ship, "B"),
            outcome(ship, "C"),
        ],
        ["A", "B", "b", "C"],
        extras=[fire(), cancel(), [outcome(ship, "x"), update(deliver, "y")]],
    ),
    Tale(
        failing_handler,
        [update(deliver, "a"), signal(word, "end")],
        "end",
        extras=[cancel()],
    ),
]
