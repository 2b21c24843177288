"""A trip is booked as a whole, or not at all.

    python examples/saga.py            # in a temporary store
    python examples/saga.py trips.db   # in a file that stays; start it again as often as you like

Every step says at once how it is undone. When a later one fails, or somebody cancels the workflow,
what was booked is given back in reverse: also after a crash, and whatever else is cancelled.
"""

import sys
import tempfile

import trio

import aion_runtime as aion


@aion.activity
async def book(what: str, city: str) -> str:
    await trio.sleep(0.05)
    if what == "car" and city == "Venice":
        raise aion.ApplicationError("no cars in Venice", type="SoldOut", non_retryable=True)
    print(f"booked a {what} in {city}")
    return f"{city}/{what}"


@aion.activity(retry=aion.RetryPolicy(max_attempts=None))
async def give_back(booking: str) -> None:
    # Tried without end: what is not given back is paid for.
    await trio.sleep(0.05)
    print(f"gave back {booking}")


@aion.workflow
async def trip(city: str) -> list[str]:
    async with aion.saga() as saga:
        flight = await book("flight", city)
        saga.compensate(give_back, flight)
        hotel = await book("hotel", city)
        saga.compensate(give_back, hotel)
        car = await book("car", city)
        saga.compensate(give_back, car)
    return [flight, hotel, car]


async def main(store: str) -> None:
    async with aion.open_engine(store, workflows=[trip]) as engine:
        for city in ("Oslo", "Venice"):
            run = await engine.start(trip, city, workflow_id=f"trip-{city}")
            try:
                print(f"{city}: {', '.join(await run.result())}")
            except aion.WorkflowFailedError as error:
                reason = error.failure.cause or error.failure
                print(f"{city}: not booked, {reason.message}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        path = sys.argv[1] if len(sys.argv) > 1 else f"{directory}/saga.db"
        trio.run(main, f"sqlite:///{path}")
