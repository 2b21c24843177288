"""``aion cancel`` and ``aion terminate``: a workflow is to end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from aion_cli.options import (
    json_option,
    reason_option,
    store_option,
    timeout_option,
    workflow_id_argument,
)

if TYPE_CHECKING:
    import aion_runtime as aion

__all__ = ["cancel", "terminate"]


@click.command(short_help="Ask a workflow to stop; it may clean up first.")
@workflow_id_argument
@reason_option("cancelled from the command line")
@timeout_option
@store_option
@json_option
def cancel(workflow_id: str, reason: str, timeout: float, store: str | None, as_json: bool) -> None:
    """Ask a workflow to stop. It may clean up first, or go on: 'aion show' tells."""
    from aion_cli.clients import ask_engine
    from aion_cli.printing import print_json

    async def send(client: aion.Client) -> None:
        await client.get(workflow_id).cancel(reason)

    ask_engine(store, timeout, send, about=workflow_id)
    if as_json:
        print_json({"workflow_id": workflow_id, "cancel": reason})


@click.command(short_help="End a workflow here and now.")
@workflow_id_argument
@reason_option("terminated from the command line")
@timeout_option
@store_option
@json_option
def terminate(
    workflow_id: str, reason: str, timeout: float, store: str | None, as_json: bool
) -> None:
    """End a workflow here and now, stuck or not; its code is not asked."""
    from aion_cli.clients import ask_engine
    from aion_cli.printing import print_json

    async def send(client: aion.Client) -> None:
        await client.get(workflow_id).terminate(reason)

    ask_engine(store, timeout, send, about=workflow_id)
    if as_json:
        print_json({"workflow_id": workflow_id, "terminate": reason})
