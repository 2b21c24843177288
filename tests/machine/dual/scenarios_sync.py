"""Events, locks and semaphores."""

from tests.machine.dual.worlds import Log, World, gives, gives_one_of


@gives(False, True, "at once")
async def an_event_that_is_set_is_not_waited_for(w: World, log: Log) -> None:
    event = w.Event()
    log(event.is_set())
    event.set()
    log(event.is_set())
    await event.wait()
    log("at once")


@gives("stopped")
async def waiting_for_a_set_event_is_a_checkpoint(w: World, log: Log) -> None:
    event = w.Event()
    event.set()
    with w.CancelScope() as scope:
        scope.cancel()
        await event.wait()
        log("never")
    log("stopped")


@gives_one_of(["a", "b"], ["b", "a"])
async def an_event_wakes_all_who_wait(w: World, log: Log) -> None:
    event = w.Event()

    async def waiter(name: str) -> None:
        await event.wait()
        log(name)

    async with w.open_nursery() as nursery:
        nursery.start_soon(waiter, "a")
        nursery.start_soon(waiter, "b")
        await w.sleep(1)
        event.set()


@gives("given up", "set", "the other")
async def a_waiter_that_gives_up_leaves_the_others(w: World, log: Log) -> None:
    event = w.Event()

    async def impatient() -> None:
        with w.move_on_after(1):
            await event.wait()
        log("given up")

    async def patient() -> None:
        await event.wait()
        log("the other")

    async with w.open_nursery() as nursery:
        nursery.start_soon(impatient)
        nursery.start_soon(patient)
        await w.sleep(2)
        log("set")
        event.set()
        event.set()


@gives("woken", "then stopped")
async def a_task_that_was_woken_is_not_stopped_any_more(w: World, log: Log) -> None:
    event = w.Event()
    scope = w.CancelScope()

    async def waiter() -> None:
        with scope:
            await event.wait()
            log("woken")
            await w.checkpoint()
            log("never")
        log("then stopped")

    async with w.open_nursery() as nursery:
        nursery.start_soon(waiter)
        await w.sleep(1)
        event.set()
        scope.cancel()


@gives("a in", "a out", "b in", "b out", "c in", "c out")
async def a_lock_is_handed_on_in_the_order_of_waiting(w: World, log: Log) -> None:
    lock = w.Lock()

    async def user(name: str, wait: float) -> None:
        await w.sleep(wait)
        async with lock:
            log(f"{name} in")
            await w.sleep(10)
            log(f"{name} out")

    async with w.open_nursery() as nursery:
        nursery.start_soon(user, "c", 3)
        nursery.start_soon(user, "a", 1)
        nursery.start_soon(user, "b", 2)


@gives("b waits no more", "c in")
async def a_waiter_that_gives_up_loses_its_place(w: World, log: Log) -> None:
    lock = w.Lock()

    async def gives_up() -> None:
        with w.move_on_after(2):
            await lock.acquire()
            log("never")
        log("b waits no more")

    async def waits() -> None:
        await w.sleep(1)
        async with lock:
            log("c in")

    async with w.open_nursery() as nursery, lock:
        nursery.start_soon(gives_up)
        nursery.start_soon(waits)
        await w.sleep(5)


@gives("RuntimeError")
async def only_the_owner_releases_a_lock(w: World, log: Log) -> None:
    lock = w.Lock()

    async def other() -> None:
        try:
            lock.release()
        except RuntimeError:
            log("RuntimeError")

    async with w.open_nursery() as nursery, lock:
        nursery.start_soon(other)
        await w.sleep(1)


@gives("RuntimeError", "RuntimeError")
async def an_owner_does_not_acquire_again(w: World, log: Log) -> None:
    lock = w.Lock()
    async with lock:
        for again in (lock.acquire_nowait, lock.acquire):
            try:
                answer = again()
                if answer is not None:
                    await answer
            except RuntimeError:
                log("RuntimeError")


@gives((True, "WouldBlock"), False, "acquired", True)
async def a_lock_is_tried_without_waiting(w: World, log: Log) -> None:
    lock = w.Lock()

    async def tries() -> None:
        try:
            lock.acquire_nowait()
        except w.WouldBlock as error:
            log((lock.locked(), type(error).__name__))

    async with w.open_nursery() as nursery, lock:
        nursery.start_soon(tries)
        await w.sleep(1)
    log(lock.locked())
    lock.acquire_nowait()
    log("acquired")
    log(lock.locked())
    lock.release()


@gives("WouldBlock", "b in")
async def a_released_lock_belongs_to_its_heir_at_once(w: World, log: Log) -> None:
    lock = w.Lock()

    async def heir() -> None:
        async with lock:
            log("b in")

    async with w.open_nursery() as nursery:
        await lock.acquire()
        nursery.start_soon(heir)
        await w.sleep(1)
        lock.release()
        try:
            lock.acquire_nowait()
        except w.WouldBlock as error:
            log(type(error).__name__)


@gives("stopped", False)
async def a_free_lock_is_not_acquired_in_a_cancelled_scope(w: World, log: Log) -> None:
    lock = w.Lock()
    with w.CancelScope() as scope:
        scope.cancel()
        await lock.acquire()
        log("never")
    log("stopped")
    log(lock.locked())


@gives("BrokenResourceError", "BrokenResourceError")
async def a_lock_whose_owner_has_ended_is_broken(w: World, log: Log) -> None:
    lock = w.Lock()

    async def forgets() -> None:
        await lock.acquire()
        await w.sleep(2)

    async def waits(seconds: float) -> None:
        await w.sleep(seconds)
        try:
            await lock.acquire()
        except w.BrokenResourceError as error:
            log(type(error).__name__)

    async with w.open_nursery() as nursery:
        nursery.start_soon(forgets)
        nursery.start_soon(waits, 1)
        nursery.start_soon(waits, 3)


@gives(("a", 0.0), ("b", 0.0), ("c", 10.0))
async def a_semaphore_lets_so_many_in(w: World, log: Log) -> None:
    semaphore = w.Semaphore(2)

    async def user(name: str) -> None:
        async with semaphore:
            log((name, w.now()))
            await w.sleep(10)

    async with w.open_nursery() as nursery:
        for name in "abc":
            nursery.start_soon(user, name)
            await w.checkpoint()
            await w.checkpoint()
            await w.checkpoint()


@gives(1, 0, "WouldBlock", 1)
async def a_semaphore_counts(w: World, log: Log) -> None:
    semaphore = w.Semaphore(1)
    log(semaphore.value)
    semaphore.acquire_nowait()
    log(semaphore.value)
    try:
        semaphore.acquire_nowait()
    except w.WouldBlock as error:
        log(type(error).__name__)
    semaphore.release()
    log(semaphore.value)


@gives("ValueError", 2)
async def a_semaphore_has_an_upper_limit(w: World, log: Log) -> None:
    semaphore = w.Semaphore(1, max_value=2)
    semaphore.release()
    try:
        semaphore.release()
    except ValueError as error:
        log(type(error).__name__)
    log(semaphore.value)


@gives("ValueError", "ValueError", "TypeError")
async def a_semaphore_is_made_of_whole_numbers(w: World, log: Log) -> None:
    for arguments in ({"initial": -1}, {"initial": 2, "max_value": 1}, {"initial": 1.5}):
        initial = arguments.pop("initial")
        try:
            w.Semaphore(initial, **arguments)
        except (TypeError, ValueError) as error:
            log(type(error).__name__)


@gives("given up", "c in", 0)
async def a_released_permit_goes_to_the_longest_wait(w: World, log: Log) -> None:
    semaphore = w.Semaphore(0)

    async def gives_up() -> None:
        with w.move_on_after(1):
            await semaphore.acquire()
        log("given up")

    async def waits() -> None:
        await w.sleep(0.5)
        await semaphore.acquire()
        log("c in")
        log(semaphore.value)

    async with w.open_nursery() as nursery:
        nursery.start_soon(gives_up)
        nursery.start_soon(waits)
        await w.sleep(2)
        semaphore.release()
