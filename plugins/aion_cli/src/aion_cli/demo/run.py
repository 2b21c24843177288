"""One demo from beginning to end: directories, signals, the trial, the check, the result."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import click
import trio
from rich.console import Console

import aion_runtime as aion
from aion_cli.demo.check import check
from aion_cli.demo.evidence import Evidence
from aion_cli.demo.expected import expected_end, expected_executions
from aion_cli.demo.orders import load_orders
from aion_cli.demo.place import Place
from aion_cli.demo.report import Report, print_report, report_as_json
from aion_cli.demo.spectators import LiveSpectator, PlainSpectator, SilentSpectator
from aion_cli.demo.trial import Spectator, Trial
from aion_cli.exit_codes import ExitCode
from aion_core.contracts import EventStore
from aion_core.errors import AionError, ConfigError

__all__ = ["DemoOptions", "NothingToSabotageError", "run_demo"]


class NothingToSabotageError(AionError):
    """No kill found a completed charge."""


@attrs.frozen(kw_only=True)
class DemoOptions:
    """The command line, parsed.

    Attributes:
        store: URL of the store; None for one of the demo's own.
        time_limit: seconds until the orders have to be over.
    """

    store: str | None
    kills: int
    keep: Path | None
    sabotage: bool
    seed: int
    time_limit: float
    as_json: bool


def run_demo(options: DemoOptions) -> int:
    """Run the demo and print its result; returns the exit code.

    Raises:
        AionError: it could not be run, for example without a store.
        OSError: the directory cannot be used.
    """
    console = Console(highlight=False)
    demo_orders = load_orders()
    began = time.monotonic()
    with _directories(options) as (place, scratch), _spectator(options, console) as spectator:
        trial = Trial(
            place,
            scratch,
            spectator,
            kills=options.kills,
            expected=sum(map(expected_executions, demo_orders)),
            seed=options.seed,
            sabotage=options.sabotage,
        )
        outcome = trio.run(_run_unless_stopped, place, trial, options.time_limit)
    if isinstance(outcome, signal.Signals):
        click.echo(f"aion: stopped by {outcome.name}", err=True)
        return 128 + outcome
    expected = {each.workflow_id: expected_end(each) for each in demo_orders}
    findings = check(outcome, expected, kills=options.kills)
    if trial.sabotage_is_due and not findings:
        raise NothingToSabotageError("no kill found a completed charge; try another --seed")
    report = Report(
        demo_orders=demo_orders,
        evidence=outcome,
        findings=findings,
        seed=options.seed,
        seconds=time.monotonic() - began,
        kept=options.keep,
        store=options.store,
        sabotaged=options.sabotage and not trial.sabotage_is_due,
    )
    if options.as_json:
        sys.stdout.write(report_as_json(report) + "\n")
    else:
        print_report(report, console)
    return ExitCode.CHECK_FAILED if findings else ExitCode.OK


async def _run_unless_stopped(
    place: Place, trial: Trial, time_limit: float
) -> Evidence | signal.Signals:
    """The trial's evidence, or the signal that ended it; either way its process is gone."""
    outcome: Evidence | signal.Signals | None = None

    async def wait_for_signal() -> None:
        nonlocal outcome
        outcome = signal.Signals(await anext(received))
        nursery.cancel_scope.cancel()

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as received:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_for_signal)
            # Here a missing store is an error of one line; in the child it would be a mystery.
            async with aion.open_store(place.url) as store:
                await _require_fit(place.url, store)
            outcome = await trial.run(time_limit)
            nursery.cancel_scope.cancel()
    assert outcome is not None
    return outcome


async def _require_fit(url: str, store: EventStore) -> None:
    can = store.capabilities
    if not (can.persistent and can.multi_process):
        raise ConfigError(
            f"the store {url!r} is lost with the process that is to be killed; name one that other "
            "processes can open"
        )
    if await store.list_workflow_ids():
        raise ConfigError(f"the store {url!r} is not empty; name a new one")


@contextmanager
def _directories(options: DemoOptions) -> Iterator[tuple[Place, Path]]:
    """Where the trial works, and where copies go; what is not kept is removed, come what may."""
    with tempfile.TemporaryDirectory(prefix="aion-demo-") as scratch:
        directory = options.keep if options.keep is not None else Path(scratch) / "trial"
        directory.mkdir(parents=True, exist_ok=True)
        yield Place(directory, options.store), Path(scratch)


@contextmanager
def _spectator(options: DemoOptions, console: Console) -> Iterator[Spectator]:
    if options.as_json:
        yield SilentSpectator()
    elif console.is_terminal:
        with LiveSpectator(console, load_orders(), options.seed) as spectator:
            yield spectator
    else:
        yield PlainSpectator(console, load_orders(), options.seed)
