"""Memory channels: buffers, closing, clones, and being stopped while one waits."""

import math
from typing import Any

from tests.machine.dual.worlds import Log, World, gives, gives_one_of


@gives(("sent", 2.0), ("received", "x", 2.5))
async def without_a_buffer_a_sender_waits_for_a_receiver(w: World, log: Log) -> None:
    send, receive = w.open_memory_channel(0)

    async def sender() -> None:
        await send.send("x")
        log(("sent", w.now()))
        await w.sleep(1)

    async with w.open_nursery() as nursery:
        nursery.start_soon(sender)
        await w.sleep(2)
        value = receive.receive_nowait()
        await w.sleep(0.5)
        log(("received", value, w.now()))


@gives(("waits", 0.0), ("received", "x", 2.0))
async def a_receiver_waits_for_a_sender(w: World, log: Log) -> None:
    send, receive = w.open_memory_channel(0)

    async def receiver() -> None:
        log(("waits", w.now()))
        value = await receive.receive()
        log(("received", value, w.now()))

    async with w.open_nursery() as nursery:
        nursery.start_soon(receiver)
        await w.sleep(2)
        await send.send("x")


@gives("WouldBlock", 1, 2, "WouldBlock")
async def a_buffer_holds_so_many(w: World, log: Log) -> None:
    send, receive = w.open_memory_channel(2)
    await send.send(1)
    send.send_nowait(2)
    try:
        send.send_nowait(3)
    except w.WouldBlock as error:
        log(type(error).__name__)
    log(await receive.receive())
    log(receive.receive_nowait())
    try:
        receive.receive_nowait()
    except w.WouldBlock as error:
        log(type(error).__name__)


@gives(list(range(100)))
async def an_endless_buffer_is_never_full(w: World, log: Log) -> None:
    send, receive = w.open_memory_channel(math.inf)
    for number in range(100):
        send.send_nowait(number)
    send.close()
    log([number async for number in receive])


@gives([1, 2, 3])
async def a_sender_that_waits_keeps_its_place(w: World, log: Log) -> None:
    send, receive = w.open_memory_channel(1)

    async def sender() -> None:
        async with send:
            for number in (1, 2, 3):
                await send.send(number)

    async with w.open_nursery() as nursery:
        nursery.start_soon(sender)
        await w.sleep(1)
        log([number async for number in receive])


@gives("stopped", [])
async def a_sender_that_is_stopped_has_sent_nothing(w: World, log: Log) -> None:
    send, receive = w.open_memory_channel(0)
    with w.move_on_after(1):
        await send.send("x")
        log("never")
    log("stopped")
    send.close()
    log([value async for value in receive])


@gives("stopped", "x")
async def a_receiver_that_is_stopped_takes_nothing(w: World, log: Log) -> None:
    send, receive = w.open_memory_channel(1)
    with w.move_on_after(1):
        await receive.receive()
        log("never")
    log("stopped")
    await send.send("x")
    log(receive.receive_nowait())


@gives("stopped", "WouldBlock")
async def sending_is_a_checkpoint_though_there_is_room(w: World, log: Log) -> None:
    send, receive = w.open_memory_channel(1)
    with w.CancelScope() as scope:
        scope.cancel()
        await send.send("x")
        log("never")
    log("stopped")
    try:
        receive.receive_nowait()
    except w.WouldBlock as error:
        log(type(error).__name__)


@gives("EndOfChannel")
async def the_end_of_the_last_sender_wakes_receivers(w: World, log: Log) -> None:
    send, receive = w.open_memory_channel(0)

    async def receiver() -> None:
        try:
            await receive.receive()
        except w.EndOfChannel as error:
            log(type(error).__name__)

    async with w.open_nursery() as nursery:
        nursery.start_soon(receiver)
        await w.sleep(1)
        await send.aclose()


@gives("one left", "EndOfChannel")
async def clones_of_a_sender_are_counted(w: World, log: Log) -> None:
    send, receive = w.open_memory_channel(0)
    other = send.clone()
    send.close()
    send.close()
    try:
        receive.receive_nowait()
    except w.WouldBlock:
        log("one left")
    other.close()
    try:
        receive.receive_nowait()
    except w.EndOfChannel as error:
        log(type(error).__name__)


@gives(("received", "x", 2.0))
async def a_receiver_waits_on_while_one_sender_is_open(w: World, log: Log) -> None:
    send, receive = w.open_memory_channel(0)
    other = send.clone()

    async def receiver() -> None:
        value = await receive.receive()
        log(("received", value, w.now()))

    async with w.open_nursery() as nursery:
        nursery.start_soon(receiver)
        await w.sleep(1)
        send.close()
        await w.sleep(1)
        await other.send("x")


@gives("stopped", ("sent", "x"))
async def a_sender_waits_on_while_one_receiver_is_open(w: World, log: Log) -> None:
    send, receive = w.open_memory_channel(0)
    other = receive.clone()

    async def sender() -> None:
        await send.send("x")

    async with w.open_nursery() as nursery:
        nursery.start_soon(sender)
        await w.sleep(1)
        receive.close()
        log("stopped")
        log(("sent", await other.receive()))


@gives("x", "EndOfChannel")
async def what_was_sent_before_the_end_is_received(w: World, log: Log) -> None:
    send, receive = w.open_memory_channel(1)
    async with send:
        await send.send("x")
    log(await receive.receive())
    try:
        await receive.receive()
    except w.EndOfChannel as error:
        log(type(error).__name__)


@gives("ClosedResourceError", "ClosedResourceError", "ClosedResourceError", "ClosedResourceError")
async def a_closed_end_is_not_used(w: World, log: Log) -> None:
    send, receive = w.open_memory_channel(1)
    send.close()
    receive.close()
    for call in (lambda: send.send_nowait(1), receive.receive_nowait, send.clone, receive.clone):
        try:
            call()
        except w.ClosedResourceError as error:
            log(type(error).__name__)


@gives("BrokenResourceError", "BrokenResourceError")
async def nothing_is_sent_once_no_receiver_is_left(w: World, log: Log) -> None:
    send, receive = w.open_memory_channel(1)
    receive.close()
    try:
        send.send_nowait(1)
    except w.BrokenResourceError as error:
        log(type(error).__name__)
    try:
        await send.send(1)
    except w.BrokenResourceError as error:
        log(type(error).__name__)


@gives("BrokenResourceError")
async def the_end_of_the_last_receiver_wakes_senders(w: World, log: Log) -> None:
    send, receive = w.open_memory_channel(0)

    async def sender() -> None:
        try:
            await send.send("x")
        except w.BrokenResourceError as error:
            log(type(error).__name__)

    async with w.open_nursery() as nursery:
        nursery.start_soon(sender)
        await w.sleep(1)
        receive.close()


@gives("ClosedResourceError")
async def closing_an_end_wakes_who_waits_at_it(w: World, log: Log) -> None:
    send, receive = w.open_memory_channel(0)

    async def receiver() -> None:
        try:
            await receive.receive()
        except w.ClosedResourceError as error:
            log(type(error).__name__)

    async with w.open_nursery() as nursery:
        nursery.start_soon(receiver)
        await w.sleep(1)
        receive.close()
    send.close()


@gives("ClosedResourceError", "the clone sends")
async def closing_a_clone_leaves_who_waits_at_others(w: World, log: Log) -> None:
    send, receive = w.open_memory_channel(0)
    clone = send.clone()

    async def sender(end: Any, name: str) -> None:
        try:
            await end.send(name)
        except w.ClosedResourceError as error:
            log(type(error).__name__)

    async with w.open_nursery() as nursery:
        nursery.start_soon(sender, send, "the first sends")
        nursery.start_soon(sender, clone, "the clone sends")
        await w.sleep(1)
        send.close()
        await w.sleep(1)
        log(await receive.receive())


@gives(("first", 1), ("second", 2))
async def receivers_are_served_in_the_order_of_waiting(w: World, log: Log) -> None:
    send, receive = w.open_memory_channel(0)

    async def receiver(name: str, wait: float) -> None:
        await w.sleep(wait)
        value = await receive.receive()
        log((name, value))

    async with w.open_nursery() as nursery:
        nursery.start_soon(receiver, "second", 2)
        nursery.start_soon(receiver, "first", 1)
        await w.sleep(3)
        await send.send(1)
        await w.sleep(1)
        await send.send(2)


@gives_one_of(*[[number, 10 - number] for number in range(11)])
async def clones_of_a_receiver_share_the_values(w: World, log: Log) -> None:
    send, receive = w.open_memory_channel(0)
    counts = [0, 0]

    async def receiver(index: int, end: Any) -> None:
        async for _ in end:
            counts[index] += 1

    async with w.open_nursery() as nursery:
        nursery.start_soon(receiver, 0, receive)
        nursery.start_soon(receiver, 1, receive.clone())
        for number in range(10):
            await send.send(number)
        send.close()
    for count in counts:
        log(count)


@gives("ValueError", "TypeError")
async def a_buffer_is_a_whole_number(w: World, log: Log) -> None:
    for size in (-1, 1.5):
        try:
            w.open_memory_channel(size)
        except (TypeError, ValueError) as error:
            log(type(error).__name__)


@gives(0, 1, 2, "nothing left")
async def a_loop_over_a_channel_ends_with_it(w: World, log: Log) -> None:
    send, receive = w.open_memory_channel(0)

    async def sender() -> None:
        with send:
            for number in range(3):
                await send.send(number)

    async with w.open_nursery() as nursery:
        nursery.start_soon(sender)
        async for number in receive:
            log(number)
    log("nothing left")
