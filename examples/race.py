"""Two suppliers are asked for an offer, and the first to make one gets the order.

    python examples/race.py               # in a temporary store
    python examples/race.py offers.db     # in a file that stays

Which one was first is recorded: after a crash it is still the same one. The other is cancelled and
waited for, so nothing of it goes on behind the workflow's back.
"""

import sys
import tempfile
from datetime import timedelta

import attrs
import trio

import aion_runtime as aion

PACE = {"north": 1.0, "south": 0.3}


@attrs.frozen
class Offer:
    supplier: str
    cents: int


@aion.activity
async def ask(supplier: str, part: str) -> Offer:
    try:
        await trio.sleep(PACE[supplier])
    except trio.Cancelled:
        print(f"{supplier} need not answer any more")
        raise
    return Offer(supplier, cents=100 * len(part))


@aion.activity
async def place_order(offer: Offer) -> str:
    return f"ordered in the {offer.supplier} for {offer.cents / 100:.2f} EUR"


@aion.workflow
async def buy(part: str, patience: timedelta) -> str:
    # Offers are raced, not orders: the answer of who comes second is dropped. An error that comes
    # first wins, too; so give the activity a retry policy for what is worth another try.
    try:
        with aion.fail_after(patience):
            offer = await aion.race(ask("north", part), ask("south", part))
    except aion.TooSlowError:
        return "nobody made an offer"
    return await place_order(offer)


async def main(store: str) -> None:
    async with aion.open_engine(store, workflows=[buy]) as engine:
        run = await engine.start(buy, "gasket", timedelta(seconds=5), workflow_id="gasket")
        print(await run.result())
        run = await engine.start(buy, "bolt", timedelta(seconds=0.02), workflow_id="bolt")
        print(await run.result())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        path = sys.argv[1] if len(sys.argv) > 1 else f"{directory}/race.db"
        trio.run(main, f"sqlite:///{path}")
