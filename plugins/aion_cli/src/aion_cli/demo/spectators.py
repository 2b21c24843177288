"""What is shown while the demo runs: a live view in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from aion_cli.demo.evidence import Kill
from aion_cli.demo.ledger import Execution
from aion_cli.demo.orders import CARD_DECLINED, DemoOrder
from aion_cli.demo.place import Snapshot
from aion_cli.demo.sabotage import Cut
from aion_core.history import WorkflowSummary
from aion_core.status import WorkflowStatus

__all__ = ["LiveSpectator", "PlainSpectator", "SilentSpectator"]

CELL_WIDTH = 20
PLAIN_INTERVAL_S = 1.0


class SilentSpectator:
    """Shows nothing, for programs that want the result only."""

    def started(self, pid: int) -> None:
        pass

    def saw(self, snapshot: Snapshot, ledger: Sequence[Execution]) -> None:
        pass

    def killed(self, kill: Kill) -> None:
        pass

    def sabotaged(self, cut: Cut) -> None:
        pass


class PlainSpectator:
    """One line for each thing that happens, and for the progress once in a second."""

    def __init__(self, console: Console, demo_orders: Sequence[DemoOrder], seed: int) -> None:
        self._console = console
        self._orders = len(demo_orders)
        self._shown_at = time.monotonic()
        self._say(f"Aion demo: {self._orders} orders, seed {seed}")

    def started(self, pid: int) -> None:
        self._say(f"engine started, pid {pid}")

    def saw(self, snapshot: Snapshot, ledger: Sequence[Execution]) -> None:
        if time.monotonic() - self._shown_at >= PLAIN_INTERVAL_S:
            self._shown_at = time.monotonic()
            self._say(f"  {_progress(snapshot, ledger, self._orders)}")

    def killed(self, kill: Kill) -> None:
        self._say(_obituary(kill))

    def sabotaged(self, cut: Cut) -> None:
        self._say(_confession(cut))

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)


class LiveSpectator:
    """The state of every order, redrawn as it changes. Entered and left like a file."""

    def __init__(self, console: Console, demo_orders: Sequence[DemoOrder], seed: int) -> None:
        self._console = console
        self._demo_orders = demo_orders
        self._title = f"Aion demo: {len(demo_orders)} orders, seed {seed}"
        self._snapshot = Snapshot()
        self._ledger: Sequence[Execution] = ()
        self._engine = Text("starting")
        self._log: list[Text] = []
        # Drawn only when told to, so that no thread of rich's runs beside trio.
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._live.__enter__()
        self._draw()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.__exit__(exc_type, error, traceback)
        for line in self._log:
            self._console.print(line, soft_wrap=True)

    def started(self, pid: int) -> None:
        again = " again" if self._log else ""
        self._engine = Text(f"engine started{again}, pid {pid}", style="green")
        self._draw()

    def saw(self, snapshot: Snapshot, ledger: Sequence[Execution]) -> None:
        self._snapshot, self._ledger = snapshot, ledger
        self._draw()

    def killed(self, kill: Kill) -> None:
        self._log.append(Text(_obituary(kill), style="red"))
        self._engine = Text("engine killed", style="bold red")
        self._draw()

    def sabotaged(self, cut: Cut) -> None:
        self._log.append(Text(_confession(cut), style="magenta"))
        self._draw()

    def _draw(self) -> None:
        progress = _progress(self._snapshot, self._ledger, len(self._demo_orders))
        parts: list[RenderableType] = [
            Text(self._title, style="bold"),
            Text(),
            self._grid(),
            Text(),
            Text.assemble(self._engine, f": {progress}"),
            *self._log,
        ]
        self._live.update(Group(*parts), refresh=True)

    def _grid(self) -> Table:
        columns = max(1, self._console.width // CELL_WIDTH)
        grid = Table.grid(padding=(0, 1, 0, 0))
        for _ in range(columns):
            grid.add_column(width=CELL_WIDTH - 1, no_wrap=True)
        runs = {str(run.workflow_id): run for run in self._snapshot.runs}
        cells = [
            Text.assemble((f"{each.order.order_id} ", "dim"), self._state(runs, each.workflow_id))
            for each in self._demo_orders
        ]
        for begin in range(0, len(cells), columns):
            grid.add_row(*cells[begin : begin + columns])
        return grid

    def _state(self, runs: dict[str, WorkflowSummary], workflow_id: str) -> Text:
        run = runs.get(workflow_id)
        if run is None:
            return Text("·", style="dim")
        if run.status is WorkflowStatus.COMPLETED:
            return Text("✔ done", style="green")
        if run.status is WorkflowStatus.FAILED:
            declined = (run.failure_reason or "").startswith(CARD_DECLINED)
            return Text("✘ declined" if declined else "✘ failed", style="red")
        if run.workflow_id in self._snapshot.waiting:
            return Text("◌ approval?", style="yellow")
        busy = (
            row.activity.activity_type
            for row in self._snapshot.activities
            if row.workflow_id == workflow_id
        )
        return Text(f"▸ {_counted(busy)}", style="cyan")


def _progress(snapshot: Snapshot, ledger: Sequence[Execution], orders: int) -> str:
    over = sum(run.status.is_closed for run in snapshot.runs)
    return f"{over} of {orders} orders over, {_number(len(ledger), 'execution', 'executions')}"


def _obituary(kill: Kill) -> str:
    return (
        f"kill {kill.number} (pid {kill.pid}): "
        f"{_number(len(kill.in_flight), 'activity', 'activities')} in flight, "
        f"{_number(len(kill.waiting), 'run', 'runs')} waiting, "
        f"{_number(kill.settled, 'outcome', 'outcomes')} on disk"
    )


def _number(n: int, one: str, many: str) -> str:
    return f"{n} {one if n == 1 else many}"


def _confession(cut: Cut) -> str:
    return f"sabotage: {cut.workflow_id} has lost the outcome of {cut.activity}, and all after it"


def _counted(names: Iterable[str]) -> str:
    counts = Counter(names)
    return ", ".join(name if n == 1 else f"{name} ×{n}" for name, n in counts.items()) or "…"
