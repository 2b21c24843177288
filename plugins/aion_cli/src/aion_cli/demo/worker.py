"""The process that is killed: an engine, the orders that come in, and the answers they get.

Run as ``python -m aion_cli.demo.worker DIRECTORY STORE``. It knows nothing of kills:
after a restart it does the same again, and ids make that harmless. It ends when all orders are
over.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

import trio

import aion_runtime as aion
from aion_cli.demo.ledger import LEDGER, Ledger
from aion_cli.demo.orders import DemoOrder, load_orders
from aion_cli.demo.place import Place
from aion_cli.demo.workload import Approval, approval, fulfil

__all__ = ["main"]

ARRIVAL_INTERVAL_S = 0.16


async def fulfil_all(place: Place) -> None:
    """Take the orders in, one after the other, and see them all through."""
    LEDGER.set(Ledger(place.ledger))
    async with (
        aion.open_engine(place.url, workflows=[fulfil]) as engine,
        trio.open_nursery() as nursery,
    ):
        page = await engine.list_runs(limit=500)
        known = {run.workflow_id for run in page.runs}
        for demo_order in load_orders():
            handle = await engine.start(
                fulfil, demo_order.order, workflow_id=demo_order.workflow_id
            )
            nursery.start_soon(see_through, demo_order, handle)
            if demo_order.workflow_id not in known:
                await trio.sleep(ARRIVAL_INTERVAL_S)


async def see_through(demo_order: DemoOrder, handle: aion.WorkflowHandle[object]) -> None:
    """Send the answer when it is there, as often as it takes, and wait for the end."""
    answer = demo_order.answer
    if answer is not None:
        await trio.sleep(answer.after_s)
        with suppress(aion.WorkflowClosedError):  # it did not come to a question
            # The signal's id makes this harmless when a process before us has sent it already.
            await handle.signal(
                approval,
                Approval(by=answer.by, granted=answer.granted),
                signal_id=f"answer-{demo_order.order.order_id}",
            )
    with suppress(aion.WorkflowFailedError):  # a declined card
        await handle.result()


async def end_with_parent() -> None:
    """Die when the other end of stdin is closed: whoever started us has died without a word."""
    await trio.to_thread.run_sync(os.read, 0, 1, abandon_on_cancel=True)
    # Not in order: that may take a while, and this process is made to be killed.
    os._exit(1)


async def main(directory: Path, store: str) -> None:
    """Run until all orders are over."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(end_with_parent)
        await fulfil_all(Place(directory, store))
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), sys.argv[2])
