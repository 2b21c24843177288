"""The one process that runs the orders of the shop: ``python -m examples.web_shop.worker``."""

import trio

import aion_runtime as aion
from examples.web_shop.orders import fulfil


async def main() -> None:
    async with aion.open_engine(workflows=[fulfil]):  # the store: AION_STORE
        print("the worker is ready", flush=True)
        await trio.sleep_forever()  # until SIGTERM or Ctrl-C, which let it stop in order


if __name__ == "__main__":
    trio.run(main)
