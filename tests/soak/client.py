"""A client: ``python -m tests.soak.client DIRECTORY SEED NAME SECONDS``. It may be killed, too.

It tells stories, a few at a time, for so long, sees the last ones through, and holds every result
against what it must be. What it was promised it writes down, for the checker, and for itself: the
client that comes after it tells again what was not seen through.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import trio

import aion_runtime as aion
from tests.soak import workload
from tests.soak.stories import stories, tell
from tests.soak.workload import Ledger, ledger_at

AT_A_TIME = 5
PATIENCE_S = 60.0
"""How long an engine may be away, dead or recovering."""


class Narrator:
    """One client's stories, and what has come of them.

    Args:
        end: by the steady clock, when no new story is begun any more.
    """

    def __init__(self, directory: Path, seed: int, name: str, end: float) -> None:
        path = directory / f"{name}.jsonl"
        lines = ledger_at(path)
        self._asked = {str(line["asked"]) for line in lines if "asked" in line}
        self._ended = {str(line["ended"]) for line in lines if "ended" in line}
        self._promises = Ledger(path)
        self._stories = stories(seed, name)
        self._end = end

    async def tell_on(self, client: aion.Client) -> None:
        """Tell one story after the other, until the time has come. May be done several times."""
        for story in self._stories:
            if story.workflow_id in self._ended:
                continue
            # What the client before this one has begun is seen through in any case.
            if time.monotonic() >= self._end and story.workflow_id not in self._asked:
                return
            self._promises.write(asked=story.workflow_id)
            with trio.fail_after(PATIENCE_S):
                result = await tell(client, story)
            self._promises.write(ended=story.workflow_id, result=result, expected=story.result)


async def main(directory: Path, seed: int, name: str, seconds: float) -> None:
    """Tell stories for so many seconds."""
    narrator = Narrator(directory, seed, name, time.monotonic() + seconds)
    url = f"sqlite:///{directory}/aion.db"
    async with (
        aion.open_client(url, workflows=[workload], answer_timeout=PATIENCE_S) as client,
        trio.open_nursery() as nursery,
    ):
        for _ in range(AT_A_TIME):
            nursery.start_soon(narrator.tell_on, client)


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], float(sys.argv[4]))
