"""What the benchmarks run: no-op activities with a small JSON value in and out."""

from __future__ import annotations

import attrs

import aion_runtime as aion

__all__ = ["Item", "chain", "thread_chain", "touch", "touch_in_thread"]


@attrs.frozen
class Item:
    number: int
    name: str


@aion.activity
async def touch(item: Item) -> Item:
    return item


@aion.activity
def touch_in_thread(item: Item) -> Item:
    return item


@aion.workflow
async def chain(length: int) -> int:
    item = Item(0, "a small value")
    for number in range(length):
        item = await touch(Item(number + 1, item.name))
    return item.number


@aion.workflow
async def thread_chain(length: int) -> int:
    item = Item(0, "a small value")
    for number in range(length):
        item = await touch_in_thread(Item(number + 1, item.name))
    return item.number
