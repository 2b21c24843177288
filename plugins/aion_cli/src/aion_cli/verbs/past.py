"""``aion history``: everything recorded of a workflow. Reads the store; no engine is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from aion_cli.options import json_option, store_option, workflow_id_argument

if TYPE_CHECKING:
    from aion_core.events import HistoryEvent
    from aion_core.payloads import PayloadConverter

__all__ = ["history", "print_events"]


@click.command(short_help="Print the events of a workflow.")
@workflow_id_argument
@store_option
@json_option
def history(workflow_id: str, store: str | None, as_json: bool) -> None:
    """Print the events of a workflow, all of its runs.

    With --json it is a file that aion_runtime.testing.replay_history reads.
    """
    from aion_cli.describing import event_as_json
    from aion_cli.printing import print_json
    from aion_cli.stores import choose_store, unknown_id
    from aion_cli.trio_running import run_async
    from aion_core.ids import validated_workflow_id

    chosen = choose_store(store)
    wanted = validated_workflow_id(workflow_id)

    async def read() -> Sequence[HistoryEvent]:
        async with chosen.reading() as opened:
            events = await opened.read_history(wanted)
            if not events:
                raise await unknown_id(opened, workflow_id)
            return events

    events = run_async(read)
    if as_json:
        print_json([event_as_json(event) for event in events])
    else:
        print_events(events, chosen.converter)


def print_events(events: Sequence[HistoryEvent], converter: PayloadConverter) -> None:
    """Print events as a table: number, time, kind, and what it says."""
    from aion_cli.describing import event_in_words
    from aion_cli.printing import Column, is_terminal, print_table
    from aion_core.codec import kind_of

    days = {event.recorded_at.date() for event in events}
    # On a terminal there is little room, and a day that is the same for all is said once.
    one_day = is_terminal() and len(days) == 1
    columns = (
        Column("seq", justify="right"),
        Column(f"{days.pop()} UTC" if one_day else "recorded at (UTC)"),
        Column("event"),
        Column("", fit="fold"),
    )
    rows = [
        (
            str(event.seq),
            event.recorded_at.strftime("%H:%M:%S.%f" if one_day else "%Y-%m-%d %H:%M:%S.%f")[:-3],
            kind_of(event),
            event_in_words(event, converter),
        )
        for event in events
    ]
    print_table(columns, rows)
