"""``aion replay``: does today's code still fit these histories? Runs nothing, writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from aion_cli.exit_codes import ExitCode
from aion_cli.options import json_option, store_option

if TYPE_CHECKING:
    from aion_cli.fitting import Fit
    from aion_cli.stores import ChosenStore
    from aion_core.authoring.workflows import Workflow
    from aion_core.ids import WorkflowId

__all__ = ["replay"]

EPILOG = """\b
Exit codes:
  0  the code fits every history
  1  it does not fit one: where, and how, is printed
  4  no workflow has the id
"""


@click.command(epilog=EPILOG, short_help="Check that today's code fits recorded histories.")
@click.argument("targets", metavar="[ID] MODULE...", nargs=-1, required=True)
@click.option("--all", "every", is_flag=True, help="Of all workflows; no ID is given then.")
@click.option("--open", "only_open", is_flag=True, help="With --all: only those that are open.")
@store_option
@json_option
@click.pass_context
def replay(
    ctx: click.Context,
    targets: tuple[str, ...],
    every: bool,
    only_open: bool,
    store: str | None,
    as_json: bool,
) -> None:
    """Run the code of these modules over a workflow's history, or over all of them.

    Nothing is executed and nothing is written. Where the code asks for something else than is
    recorded, history and code are shown side by side.
    """
    from aion_cli.fitting import print_fits, print_fits_as_json
    from aion_cli.loading import load_modules, workflows_in
    from aion_cli.stores import choose_store
    from aion_cli.trio_running import run_async

    if not every and len(targets) < 2:
        raise click.UsageError("name a workflow's id and a module, or --all and a module")
    if only_open and not every:
        raise click.UsageError("--open goes with --all")
    modules = load_modules(targets if every else targets[1:])
    chosen = choose_store(store)
    code: dict[str, Workflow[..., object]] = {}
    for module in modules:
        for workflow in workflows_in(module):
            code |= dict.fromkeys((workflow.name, *workflow.aliases), workflow)
    fits = run_async(lambda: _replay(chosen, None if every else targets[0], only_open, code))
    (print_fits_as_json if as_json else print_fits)(fits)
    ctx.exit(ExitCode.OK if all(fit.fits for fit in fits) else ExitCode.CHECK_FAILED)


async def _replay(
    chosen: ChosenStore,
    workflow_id: str | None,
    only_open: bool,
    code: dict[str, Workflow[..., object]],
) -> Sequence[Fit]:
    from aion_cli.fitting import fit_of
    from aion_cli.stores import unknown_id
    from aion_core.ids import validated_workflow_id
    from aion_core.status import WorkflowStatus

    async with chosen.reading() as store:
        ids: Sequence[WorkflowId]
        if workflow_id is not None:
            ids = [validated_workflow_id(workflow_id)]
        else:
            ids = await store.list_workflow_ids()
        fits = []
        for each in ids:
            summary = await store.read_summary(each)
            if summary is None:
                if workflow_id is not None:
                    raise await unknown_id(store, each)
                continue  # purged meanwhile
            if only_open and summary.status not in (WorkflowStatus.RUNNING, WorkflowStatus.PAUSED):
                continue
            fits.append(await fit_of(store, each, code, chosen.converter))
        return fits
