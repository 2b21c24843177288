"""Progress: what a run does, live on the terminal, drawn from what is recorded of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import click
import trio
from rich.console import Console
from rich.live import Live
from rich.text import Text

from aion_cli.printing import visible
from aion_core.contracts import EventStore
from aion_core.history import RunProjection
from aion_core.ids import WorkflowId
from aion_runtime.explaining import explain_run
from aion_runtime.wording import ago, in_words, sentence

__all__ = ["showing_progress"]

INTERVAL_S = 0.1
INTERVAL_IN_PIPE_S = 0.5


@asynccontextmanager
async def showing_progress(
    store: EventStore, workflow_id: WorkflowId, *, shown: bool
) -> AsyncIterator[None]:
    """Draw it on stderr for the length of the block; then it is gone from the screen.

    Args:
        shown: False only says, once each, which activities are held: it goes on by itself no more.
    """
    if not shown:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_tell_held, store, RunProjection(workflow_id))
            yield
            nursery.cancel_scope.cancel()
        return
    console = Console(stderr=True, highlight=False, markup=False)
    # Drawn only when told to, so that no thread of rich's runs beside trio.
    with Live(console=console, auto_refresh=False, transient=True) as live:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_draw, live, store, RunProjection(workflow_id))
            yield
            nursery.cancel_scope.cancel()


async def _tell_held(store: EventStore, rows: RunProjection) -> None:
    told: set[tuple[str, int | None]] = set()
    while True:
        await _catch_up(store, rows)
        held = {(row.activity_id, row.attempt) for row in rows.activities.values() if row.held}
        if not held <= told:
            explanation = await explain_run(store, rows.workflow_id, datetime.now(UTC))
            for wait in explanation.waits:
                if wait.kind == "held" and (wait.id, wait.attempt) not in told:
                    told.add((wait.id, wait.attempt))
                    said = sentence(wait, explanation.asked_at, explanation.engine)
                    click.echo(f"aion: {rows.workflow_id}: {visible(said)}", err=True)
        await trio.sleep(INTERVAL_IN_PIPE_S)


async def _catch_up(store: EventStore, rows: RunProjection) -> None:
    for event in await store.read_history_from(rows.workflow_id, rows.head + 1):
        rows.apply(event)


async def _draw(live: Live, store: EventStore, rows: RunProjection) -> None:
    while True:
        await _catch_up(store, rows)
        lines = [Text(line, overflow="ellipsis", no_wrap=True) for line in _lines(rows)]
        live.update(Text("\n").join(lines), refresh=True)
        await trio.sleep(INTERVAL_S)


def _lines(rows: RunProjection) -> Iterator[str]:
    now = datetime.now(UTC)
    if rows.summary is None:
        yield f"{rows.workflow_id}: starting"
        return
    running = in_words(now - rows.summary.started_at)
    yield visible(
        f"{rows.workflow_id}: {rows.summary.status.value} for {running}, {rows.head} events"
    )
    for activity in rows.activities.values():
        at = activity.next_attempt_at
        when = f", again {ago(at, now)}" if at is not None and at > now else ""
        held = (
            f" has failed and is held: see 'aion show {rows.workflow_id}'" if activity.held else ""
        )
        words = f"  activity {activity.activity_type}, attempt {activity.attempt}{when}{held}"
        yield visible(words)
    for timer in rows.timers.values():
        yield visible(f"  {timer.timer_id} fires {ago(timer.fire_at, now)}")
