"""Exploring a tale."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from aion_runtime.testing import Crash, Exploration, explore_crashes
from aion_runtime.testing.script import Script
from tests.golden.tales import Tale

__all__ = ["explored"]

PATIENCE_S = 30.0


def explored(
    tale: Tale,
    script: Script | None = None,
    crashes: Sequence[Sequence[Crash]] | None = None,
    store: str = "memory:",
    resident_bytes: int = 10**9,
) -> Exploration:
    """Explore a tale in an event loop of its own."""

    async def explore() -> Exploration:
        with trio.fail_after(PATIENCE_S):
            return await explore_crashes(
                tale.workflow,
                tale.script if script is None else script,
                *tale.args,
                workflows=tale.workflows,
                delay=tale.delay,
                crashes=crashes,
                store=store,
                skip_unfit=script is not None,
                resident_bytes=resident_bytes,
            )

    return trio.run(explore)
