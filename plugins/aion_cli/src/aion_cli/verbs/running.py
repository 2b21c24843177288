"""``aion run``: one workflow in an engine of its own, from its start to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aion_cli.given import arguments_of
from aion_cli.options import input_option, json_option, log_level_option, store_option

if TYPE_CHECKING:
    from aion_cli.stores import ChosenStore
    from aion_core.authoring.workflows import Workflow

__all__ = ["run"]


@click.command(short_help="Run a workflow to its end, and print its result.")
@click.argument("target", metavar="FILE_OR_MODULE:WORKFLOW")
@input_option
@click.option("--id", "workflow_id", metavar="ID", help="Its id; a new one when not given.")
@click.option("--quiet", is_flag=True, help="Show no progress on the terminal.")
@log_level_option(None)
@store_option
@json_option
def run(
    target: str,
    given: object,
    workflow_id: str | None,
    quiet: bool,
    log_level: str | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Run a workflow to its end in an engine of its own; its result is printed as JSON.

    Interrupted, and run again with the same id, it goes on where it was. Its module is found from
    the current directory: app.py:checkout, shop.orders:checkout; without a name the only workflow
    in it is meant. A store that forgets is --store memory:.
    """
    from aion_cli.loading import load_workflow
    from aion_cli.logs import log_on_stderr
    from aion_cli.printing import print_json
    from aion_cli.stores import choose_store
    from aion_cli.trio_running import run_async

    arguments = arguments_of(given)
    log_on_stderr(log_level)
    workflow = load_workflow(target)
    _check_names(workflow, arguments)
    chosen = choose_store(store)
    id_, result = run_async(lambda: _run(chosen, workflow, arguments, workflow_id, quiet))
    print_json({"workflow_id": id_, "result": result} if as_json else result)


async def _run(
    chosen: ChosenStore,
    workflow: Workflow[..., Any],
    arguments: dict[str, object],
    workflow_id: str | None,
    quiet: bool,
) -> tuple[str, Any]:
    import sys
    from functools import partial

    import aion_runtime as aion
    from aion_cli.describing import payload_as_json
    from aion_cli.progress import showing_progress
    from aion_cli.trio_running import sole_cause

    values = _typed(chosen, workflow, arguments)
    async with (
        chosen.plugins.open_store(chosen.url) as store,
        aion.open_engine(store, workflows=[workflow], plugins=chosen.plugins) as engine,
    ):
        handle = await engine.start(partial(workflow, **values), workflow_id=workflow_id)
        try:
            shown = sys.stderr.isatty() and not quiet
            async with showing_progress(store, handle.workflow_id, shown=shown):
                await handle.result()
        except BaseException as error:
            if isinstance(sole_cause(error), KeyboardInterrupt):
                again = f"run it again with --id {handle.workflow_id} to go on"
                click.echo(f"aion: interrupted; {again}", err=True)
            raise
        last = (await handle.history())[-1]
        result = payload_as_json(getattr(last, "result", None), chosen.converter)
        return handle.workflow_id, result


def _check_names(workflow: Workflow[..., Any], arguments: dict[str, object]) -> None:
    import inspect

    from aion_core.suggestions import did_you_mean

    names = list(inspect.signature(workflow.fn).parameters)
    for name in arguments:
        if name not in names:
            there = ", ".join(names) or "none"
            otherwise = "leave it out"
            raise click.UsageError(
                f"workflow {workflow.name!r} has no parameter {name!r} (it has: {there}); "
                + did_you_mean(name, names, otherwise=otherwise)
            )


def _typed(
    chosen: ChosenStore, workflow: Workflow[..., Any], arguments: dict[str, object]
) -> dict[str, Any]:
    from aion_core.errors import PayloadError

    payload = chosen.converter.encode(arguments, dict[str, Any])
    try:
        return workflow.signature.decode_arguments(payload, chosen.converter)
    except PayloadError as error:
        raise click.UsageError(
            f"--input does not fit workflow {workflow.name!r}: {error}"
        ) from error
