"""A service that never calls back is asked again and again, if need be for a year.

    python examples/polling.py               # in a temporary store
    python examples/polling.py exports.db    # in a file that stays

A loop makes its history longer each time round. So the workflow now and then continues as new: the
same workflow id, a history that begins again, and as its input all that it has to remember.
"""

import sys
import tempfile
import time
from datetime import timedelta

import attrs
import trio

import aion_runtime as aion


@attrs.frozen
class Export:
    name: str
    every: timedelta
    ticket: str | None = None


LOOKS_PER_RUN = 5  # hundreds are as good; workflow_info().continue_as_new_suggested tells, too


@aion.activity
async def order(name: str) -> str:
    return f"{name} {time.time() + 0.6}"


@aion.activity
async def look(ticket: str) -> str | None:
    """The address of the export, or None while it is not ready."""
    name, ready_at = ticket.split()
    return f"/exports/{name}.csv" if time.time() >= float(ready_at) else None


@aion.workflow
async def export(state: Export) -> str:
    ticket = state.ticket or await order(state.name)
    for _ in range(LOOKS_PER_RUN):
        address = await look(ticket)
        if address is not None:
            return address
        await aion.sleep(state.every)
    return export.continue_as_new(attrs.evolve(state, ticket=ticket))


async def main(store: str) -> None:
    async with aion.open_engine(store, workflows=[export]) as engine:
        orders = Export("orders", every=timedelta(seconds=0.05))
        run = await engine.start(export, orders, workflow_id="export-orders")
        address = await run.result()
        history = await run.history()
        runs = sum(isinstance(event, aion.events.WorkflowStarted) for event in history)
        print(f"looked for in {runs} runs, and found:")
        print(address)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        path = sys.argv[1] if len(sys.argv) > 1 else f"{directory}/polling.db"
        trio.run(main, f"sqlite:///{path}")
