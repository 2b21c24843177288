"""``aion start``: a workflow in the engine that has the store open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from aion_cli.given import arguments_of, attributes_of
from aion_cli.options import (
    Seconds,
    attributes_option,
    input_option,
    json_option,
    store_option,
    timeout_option,
)

if TYPE_CHECKING:
    import aion_runtime as aion

__all__ = ["start"]


@click.command(short_help="Start a workflow in the engine that runs.")
@click.argument("workflow_type", metavar="TYPE")
@input_option
@click.option("--id", "workflow_id", metavar="ID", help="Its id; a new one when not given.")
@click.option(
    "--delay",
    type=Seconds(0),
    metavar="SECONDS",
    help="Its code does not run before so many seconds have passed.",
)
@attributes_option
@timeout_option
@store_option
@json_option
def start(
    workflow_type: str,
    given: object,
    workflow_id: str | None,
    delay: float | None,
    attributes: tuple[str, ...],
    timeout: float,
    store: str | None,
    as_json: bool,
) -> None:
    """Start a workflow of a type that the running engine has; its id is printed.

    The same start again, with the same id, changes nothing.
    """
    from aion_cli.clients import ask_engine
    from aion_cli.printing import print_json
    from aion_core.ids import validated_workflow_id
    from aion_core.values import checked_attributes

    arguments = arguments_of(given)
    named = attributes_of(attributes)
    try:
        checked_attributes(named)
    except (TypeError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    if workflow_id is not None:
        validated_workflow_id(workflow_id)

    async def ask(client: aion.Client) -> str:
        handle = await client.start_named(
            workflow_type,
            arguments,
            workflow_id=workflow_id,
            attributes=named or None,
            delay=delay,
        )
        return handle.workflow_id

    misfit = f"--input does not fit workflow {workflow_type!r}"
    started = ask_engine(store, timeout, ask, given=misfit)
    if as_json:
        print_json({"workflow_id": started})
    else:
        click.echo(started)
