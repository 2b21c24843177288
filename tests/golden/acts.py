"""Activities that the tales share. The world answers for them: none is ever executed."""

from __future__ import annotations

import aion_runtime as aion


class Executed(Exception):
    """A function of an activity was called after all."""


@aion.activity(retry=aion.RetryPolicy(max_attempts=3, initial_interval=60))
async def charge(amount: int) -> int:
    raise Executed


@aion.activity
async def ship(item: str) -> str:
    raise Executed


@aion.activity(retry=aion.RetryPolicy(max_attempts=1))
async def refund(amount: int) -> str:
    raise Executed


@aion.activity
def render(number: int) -> str:
    raise Executed


@aion.activity(limit=aion.Limit("sms", concurrency=2, rate=(1000, 60)), priority=1)
async def text(message: str) -> str:
    raise Executed


@aion.activity(on_cancel="abandon")
async def watch(place: str) -> str:
    raise Executed
