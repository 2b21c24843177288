"""``aion signal``, ``aion query``, ``aion update``: messages to a running workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aion_cli.given import JsonText
from aion_cli.options import json_option, store_option, timeout_option, workflow_id_argument

if TYPE_CHECKING:
    import aion_runtime as aion

__all__ = ["query", "signal", "update"]

name_argument = click.argument("name", metavar="NAME")
value_argument = click.argument("value", metavar="[JSON]", type=JsonText(), default="null")


@click.command(short_help="Send a signal to a workflow.")
@workflow_id_argument
@name_argument
@value_argument
@click.option("--signal-id", metavar="TEXT", help="Sent again under the same id, it is taken once.")
@timeout_option
@store_option
@json_option
def signal(
    workflow_id: str,
    name: str,
    value: object,
    signal_id: str | None,
    timeout: float,
    store: str | None,
    as_json: bool,
) -> None:
    """Send a signal with a value, null when none is given. It is durable when this returns."""
    from aion_cli.clients import ask_engine
    from aion_cli.printing import print_json

    async def send(client: aion.Client) -> None:
        import aion_runtime as aion

        wanted: aion.Signal[Any] = aion.Signal(name, Any)
        await client.get(workflow_id).signal(wanted, value, signal_id=signal_id)

    given = f"the JSON does not fit signal {name!r}"
    ask_engine(store, timeout, send, about=workflow_id, given=given)
    if as_json:
        print_json({"workflow_id": workflow_id, "signal": name})


@click.command(short_help="Ask a workflow something.")
@workflow_id_argument
@name_argument
@timeout_option
@store_option
@json_option
def query(workflow_id: str, name: str, timeout: float, store: str | None, as_json: bool) -> None:
    """Ask a workflow, open or ended, a query; its answer is printed as JSON."""
    from aion_cli.clients import ask_engine
    from aion_cli.printing import print_json

    async def ask(client: aion.Client) -> object:
        import aion_runtime as aion

        wanted: aion.Query[Any] = aion.Query(name, Any)
        return await client.get(workflow_id).query(wanted)

    answer = ask_engine(store, timeout, ask, about=workflow_id, takes_closed=True)
    print_json({"workflow_id": workflow_id, "answer": answer} if as_json else answer)


@click.command(short_help="Have a workflow change something, and print its answer.")
@workflow_id_argument
@name_argument
@value_argument
@click.option("--update-id", metavar="TEXT", help="Sent again under the same id, it is done once.")
@timeout_option
@store_option
@json_option
def update(
    workflow_id: str,
    name: str,
    value: object,
    update_id: str | None,
    timeout: float,
    store: str | None,
    as_json: bool,
) -> None:
    """Have a workflow do an update, with an argument, null when none is given.

    Its answer is printed as JSON.
    """
    from aion_cli.clients import ask_engine
    from aion_cli.printing import print_json

    async def ask(client: aion.Client) -> object:
        import aion_runtime as aion

        wanted: aion.Update[Any, Any] = aion.Update(name, Any, Any)
        return await client.get(workflow_id).update(wanted, value, update_id=update_id)

    given = f"the JSON does not fit update {name!r}"
    answer = ask_engine(store, timeout, ask, about=workflow_id, takes_closed=True, given=given)
    print_json({"workflow_id": workflow_id, "answer": answer} if as_json else answer)
