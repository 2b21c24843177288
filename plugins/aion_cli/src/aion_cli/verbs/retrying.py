"""``aion retry`` and ``aion supply``: what an operator does about activities that are held."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from aion_cli.given import JsonText
from aion_cli.options import json_option, store_option, timeout_option, workflow_id_argument

if TYPE_CHECKING:
    import aion_runtime as aion

__all__ = ["retry", "supply"]


@click.command(short_help="Have held activities of a workflow tried again.")
@workflow_id_argument
@click.argument("activity_id", metavar="[ACTIVITY]", required=False)
@timeout_option
@store_option
@json_option
def retry(
    workflow_id: str, activity_id: str | None, timeout: float, store: str | None, as_json: bool
) -> None:
    """Have an activity tried again that is held, or all that are held of a workflow.

    Which ones are held 'aion show' says, with the id of the ACTIVITY in parentheses. A workflow
    that is stuck is tried again itself, by the code that the engine has now.
    """
    from aion_cli.clients import ask_engine
    from aion_cli.printing import print_json

    async def ask(client: aion.Client) -> None:
        await client.get(workflow_id).retry(activity_id)

    ask_engine(store, timeout, ask, about=workflow_id)
    if as_json:
        print_json({"workflow_id": workflow_id, "retry": activity_id})


@click.command(short_help="Say how an activity ended, instead of another attempt.")
@workflow_id_argument
@click.argument("activity_id", metavar="ACTIVITY")
@click.argument("value", metavar="[JSON]", type=JsonText(), required=False)
@click.option("--error", metavar="MESSAGE", help="It failed, with this message.")
@click.option("--by", "supplied_by", default="operator", show_default=True, help="Who says so.")
@timeout_option
@store_option
@json_option
@click.pass_context
def supply(
    ctx: click.Context,
    workflow_id: str,
    activity_id: str,
    value: object,
    error: str | None,
    supplied_by: str,
    timeout: float,
    store: str | None,
    as_json: bool,
) -> None:
    """Say what an open activity of a workflow returned, as JSON, or with --error that it failed.

    Who says so is recorded, too. The workflow goes on by that.
    """
    from aion_cli.clients import ask_engine
    from aion_cli.printing import print_json
    from aion_core.errors import ApplicationError

    is_given = ctx.get_parameter_source("value") is click.core.ParameterSource.COMMANDLINE
    if is_given == (error is not None):
        raise click.UsageError("give what it returned as JSON, or --error, one of them")

    async def ask(client: aion.Client) -> None:
        handle = client.get(workflow_id)
        if error is None:
            await handle.supply(activity_id, value, supplied_by=supplied_by)
        else:
            failure = ApplicationError(error, type="Supplied")
            await handle.supply(activity_id, error=failure, supplied_by=supplied_by)

    ask_engine(store, timeout, ask, about=workflow_id)
    if as_json:
        print_json({"workflow_id": workflow_id, "supply": activity_id})
