"""``aion serve``: an engine, until it is stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from aion_cli.options import log_level_option, modules_argument, store_option

if TYPE_CHECKING:
    from types import ModuleType

    from aion_cli.stores import ChosenStore

__all__ = ["serve"]


@click.command(short_help="Run an engine until it is stopped.")
@modules_argument
@click.option(
    "--grace",
    type=click.FloatRange(0),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How long running activities have when it stops.",
)
@click.option(
    "--max-running",
    type=click.IntRange(1),
    metavar="N",
    help="How many workflows may be under way at a time; any number when not given.",
)
@log_level_option("info")
@store_option
def serve(
    modules: tuple[str, ...],
    grace: float,
    max_running: int | None,
    log_level: str,
    store: str | None,
) -> None:
    """Run an engine with the workflows of these modules until it is stopped.

    SIGTERM or Ctrl-C lets running activities finish and records their outcomes; a second one
    hurries. What is not finished goes on when an engine is started again. A MODULE is a dotted
    name, or a Python file.
    """
    from aion_cli.loading import load_modules
    from aion_cli.logs import log_on_stderr
    from aion_cli.stores import choose_store
    from aion_cli.trio_running import run_async

    log_on_stderr(log_level)
    loaded = load_modules(modules)
    chosen = choose_store(store)
    run_async(lambda: _serve(chosen, loaded, grace, max_running))


async def _serve(
    chosen: ChosenStore, modules: list[ModuleType], grace: float, max_running: int | None
) -> None:
    import os

    import trio

    import aion_runtime as aion
    from aion_cli.loading import workflows_in
    from aion_runtime.stopping import SigtermListener

    names = sorted({workflow.name for module in modules for workflow in workflows_in(module)})
    stopping = f"stopping; activities have {grace:g} s, a second signal hurries"
    # Outside the engine, so that the last line is said before the process ends by its signal.
    with SigtermListener() as listener:
        listener.connect(lambda: _say(stopping), lambda: None)
        has_begun = False
        try:
            async with aion.open_engine(
                chosen.url,
                workflows=modules,
                plugins=chosen.plugins,
                shutdown_grace=grace,
                max_running=max_running,
            ) as engine:
                has_begun = True
                report = engine.recovery_report
                _say(
                    f"serving {', '.join(names)}; pid {os.getpid()}; {len(report.resumed)} runs "
                    f"resumed, {report.parked} parked, {len(report.stuck)} stuck"
                )
                try:
                    await trio.sleep_forever()
                except KeyboardInterrupt:
                    _say(stopping)
                    raise
        finally:
            if has_begun:
                _say("stopped")


def _say(text: str) -> None:
    click.echo(f"aion: {text}", err=True)
