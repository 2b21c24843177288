"""Exploring crashes: a workflow is killed wherever it can be, and nobody can tell afterwards."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from types import ModuleType
from typing import Any, TypeVarTuple, Unpack

import attrs

from aion_core.authoring.workflows import Workflow
from aion_core.events import HistoryEvent
from aion_core.ids import WorkflowId, validated_workflow_id
from aion_core.plugins import PluginManager
from aion_core.policies import seconds
from aion_runtime.assembling import installed_plugins
from aion_runtime.catalog import call_of
from aion_runtime.configuration import load_configuration
from aion_runtime.residents import RESIDENT_BYTES
from aion_runtime.testing.exploring_comparing import Ending, differences
from aion_runtime.testing.exploring_play import Play
from aion_runtime.testing.exploring_scene import Scene, cast_of
from aion_runtime.testing.exploring_stage import Crash
from aion_runtime.testing.script import Arrival, Script, ScriptError, bursts_of

__all__ = ["Crash", "CrashDifference", "Exploration", "every_crash", "explore_crashes"]

Ts = TypeVarTuple("Ts")


class CrashDifference(AssertionError):
    """A run with crashes, or the one without, was not as it must be.

    Attributes:
        crashes: of that run.
        differences: what was wrong.
    """

    def __init__(
        self,
        script: Sequence[tuple[Arrival, ...]],
        crashes: Sequence[Crash],
        differences: Sequence[str],
    ) -> None:
        self.crashes = tuple(crashes)
        self.differences = tuple(differences)
        where = " and then ".join(map(str, crashes))
        items = ", ".join(_text(burst) for burst in script if burst) or "nothing"
        super().__init__(
            "\n".join(
                [
                    f"killed {where}:" if where else "without a crash:",
                    *(f"- {each}" for each in differences),
                    f"The script: {items}",
                ]
            )
        )


@attrs.frozen
class Exploration:
    """What all runs agreed on.

    Attributes:
        result: what the workflow returned; None when it failed, or is still open.
        failure: type and message of its failure; None when it did not fail.
        histories: of all workflows, as they are without a crash.
        script: its items as bursts, without what was skipped.
        appends: how many an engine made that was not killed.
        runs: how many runs with crashes there were.
    """

    result: object
    failure: tuple[str, str] | None
    histories: Mapping[WorkflowId, Sequence[HistoryEvent]]
    script: Sequence[tuple[Arrival, ...]]
    appends: int
    runs: int


async def explore_crashes(
    workflow: Callable[[Unpack[Ts]], Coroutine[Any, Any, Any]],
    script: Script,
    *args: *Ts,
    workflows: Iterable[Workflow[..., Any] | ModuleType] = (),
    crashes: Iterable[Sequence[Crash]] | None = None,
    workflow_id: str = "explored",
    delay: float | timedelta | None = None,
    store: str = "memory:",
    skip_unfit: bool = False,
    resident_bytes: int = RESIDENT_BYTES,
    plugins: PluginManager | None = None,
) -> Exploration:
    """Run a workflow through a script, again and again, and kill its engine elsewhere each time.

    The script is the world: no activity is executed, its outcome comes when the script says so; and
    time stands still but for `fire`. An item is released when all has been done that follows from
    the former. After a crash the item that is not durable is released whole again. So every run
    must come to the same end with the same histories, but for times, re-deliveries and what is
    drawn from the operating system. Besides, an attempt must not be made more often than the
    engine was killed while it was open, nor before it is durable that it is to be made, nor after
    its outcome is; and each history, replayed, gives the commands that are recorded in it.

    Args:
        workflow: a definition; keywords by ``functools.partial``.
        script: what happens to it, one item after the other; see `aion_runtime.testing.script`.
        args: of the workflow.
        workflows: other definitions that take part, as children of a name that is not static.
        crashes: for each run where the first engine is killed, where the second, and so on; three
            times at the most, for an attempt that sees more counts as what kills the engine. When
            not given there is a run for each append, once before it and once after.
        workflow_id: of the workflow.
        delay: as for ``engine.start``; the script then has a `fire` for it.
        store: a URL. ``{run}`` in it becomes the number of the run, for each needs an empty store.
        skip_unfit: leave out items that do not fit when their turn has come.
        resident_bytes: with 0 a workflow leaves memory whenever it waits.
        plugins: where the store is found; the installed plugins when not given.

    Raises:
        CrashDifference: something is not as it must be.
        ScriptError: an item does not fit when its turn has come.
    """
    definition, positional, keywords = call_of(workflow, args)
    bursts = bursts_of(script)
    scene = Scene(
        workflow=definition,
        args=positional,
        keywords=keywords,
        workflow_id=validated_workflow_id(workflow_id),
        delay=None if delay is None else seconds(delay),
        workflows=cast_of([definition, *workflows], bursts),
        store=store,
        plugins=plugins or installed_plugins(load_configuration()),
        resident_bytes=resident_bytes,
    )
    undisturbed = Play(scene, 0, bursts, (), skips=skip_unfit)
    expected = await _first(undisturbed)
    runs = 0
    for each in every_crash(undisturbed.appends) if crashes is None else crashes:
        runs += 1
        await _check(Play(scene, runs, undisturbed.played, each, skips=False), each, expected)
    told = expected.result
    return Exploration(
        result=told[1] if told is not None and told[0] == "value" else None,
        failure=None if told is None or told[0] == "value" else (told[0], str(told[1])),
        histories=expected.histories,
        script=[burst for burst in undisturbed.played if burst],
        appends=undisturbed.appends,
        runs=runs,
    )


def every_crash(appends: int) -> Iterator[Sequence[Crash]]:
    """One crash before each of so many appends, and one after each."""
    for append in range(1, appends + 1):
        yield [Crash(append, "before")]
        yield [Crash(append, "after")]


async def _first(play: Play) -> Ending:
    """What the run without crashes leads to."""
    script = tuple(play.played)
    try:
        ending = await play.perform()
    except ScriptError as error:
        if play.violations:
            raise CrashDifference(script, (), [*play.violations, str(error)]) from error
        raise
    if play.violations:
        raise CrashDifference(play.played, (), play.violations)
    return ending


async def _check(play: Play, crashes: Sequence[Crash], expected: Ending) -> None:
    script = tuple(play.played)
    try:
        found = await play.perform()
    except ScriptError as error:
        problems = [*play.violations, str(error)]
    else:
        problems = [*play.violations, *differences(expected, found)]
    if problems:
        raise CrashDifference(script, crashes, problems)


def _text(burst: Sequence[Arrival]) -> str:
    texts = [str(arrival) for arrival in burst]
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
