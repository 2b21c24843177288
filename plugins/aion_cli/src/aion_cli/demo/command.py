"""The command line of ``aion demo``. What it does is imported only when it is done."""

from __future__ import annotations

import secrets
from pathlib import Path

import click

__all__ = ["demo"]

EPILOG = """\b
Exit codes:
  0  every guarantee was kept
  1  the check failed: its findings say why; also when the orders were not
     over in time, or no kill found what it was to find
  2  the command line is wrong
  3  an error, told in one line, for example that no such store is installed
"""


@click.command(epilog=EPILOG, short_help="Kill a working engine, and check that nothing was lost.")
@click.option(
    "--store",
    metavar="URL",
    help="Use this store, which must be empty, in place of a SQLite file of the demo's own.",
)
@click.option(
    "--kills",
    type=click.IntRange(3, 10),
    default=3,
    show_default=True,
    help="How often to kill the engine.",
)
@click.option(
    "--keep",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Keep the database and the ledger there; DIR must be new or empty.",
)
@click.option(
    "--sabotage",
    is_flag=True,
    help="Take a recorded outcome away after a kill: the check must find out, and exit with 1.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    help="For the choice of moments to kill at; a random one when not given.",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="The check fails when the orders are not over by then.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@click.pass_context
def demo(
    ctx: click.Context,
    store: str | None,
    kills: int,
    keep: Path | None,
    sabotage: bool,
    seed: int | None,
    time_limit: float,
    as_json: bool,
) -> None:
    """Process 25 orders, kill the engine in the middle, and check that nothing was lost.

    A real engine runs a real workload in a process of its own. It is killed with SIGKILL at least
    three times, and restarted. Every execution of every activity is written to a ledger that the
    engine knows nothing of; afterwards ledger and histories are checked against each other, and
    the end of every order against its data.
    """
    from aion_cli.demo.run import DemoOptions, run_demo

    if keep is not None and keep.exists() and not (keep.is_dir() and not any(keep.iterdir())):
        raise click.BadParameter(
            f"{keep} is not an empty directory; name a new one", ctx, param_hint="'--keep'"
        )
    if sabotage and store is not None:
        raise click.BadParameter(
            "it rewrites the demo's own file; leave out --store", ctx, param_hint="'--sabotage'"
        )
    options = DemoOptions(
        store=store,
        kills=kills,
        keep=keep,
        sabotage=sabotage,
        seed=secrets.randbelow(100_000) if seed is None else seed,
        time_limit=time_limit,
        as_json=as_json,
    )
    ctx.exit(run_demo(options))
