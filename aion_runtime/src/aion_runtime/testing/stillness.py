"""Stillness: waiting until nothing happens any more, without looking again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio
from trio.testing import wait_all_tasks_blocked

__all__ = ["Stillness"]


class Stillness(trio.abc.Instrument):
    """Told by trio whenever a task may go on.

    Whatever changes in an engine, some task has run: also when a thread has finished, for its
    result is taken by a task. So who has looked once, when no task could run, need not look again
    before this says that one has. Those who wait here do not count, else two of them would keep
    each other awake.
    """

    def __init__(self) -> None:
        self._moved = trio.Event()
        self._watchers: list[trio.lowlevel.Task] = []
        self._users = 0

    def task_scheduled(self, task: trio.lowlevel.Task) -> None:
        """Called by trio."""
        if not self._moved.is_set() and task not in self._watchers:
            self._moved.set()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Listen, for the length of the context; it may be entered by several."""
        if not self._users:
            trio.lowlevel.add_instrument(self)
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                trio.lowlevel.remove_instrument(self)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Return when something is so while no task can run; nothing has run since it was asked."""
        task = trio.lowlevel.current_task()
        self._watchers.append(task)
        try:
            while True:
                if self._moved.is_set():
                    self._moved = trio.Event()
                await wait_all_tasks_blocked()
                if is_so():
                    return
                await self._moved.wait()
        finally:
            self._watchers.remove(task)
