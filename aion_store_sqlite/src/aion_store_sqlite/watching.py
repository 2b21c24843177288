"""Watching: tells soon when any process has written the file, at little cost.

Looked at is the write-ahead log, which every commit makes longer or writes anew, and from a thread
of its own: a look takes a fifth of the way through an event loop and a database thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["watching"]

INTERVAL_S = 0.04

LOOKS_AFTER_CHANGE = 2
"""A file's time goes on in ticks of some milliseconds: of a log that is written anew, a second
change in the tick of the first looks like none. So what is seen is told in the next looks, too.
"""


@contextmanager
def watching(path: Path, notify: Callable[[], None]) -> Iterator[None]:
    """Call ``notify``, from another thread, after each change, for the length of the context."""
    log = Path(f"{path}-wal")
    over = threading.Event()

    def look_now_and_then() -> None:
        seen, left = _state_of(log), LOOKS_AFTER_CHANGE
        while not over.wait(INTERVAL_S):
            found = _state_of(log)
            if found != seen:
                seen, left = found, LOOKS_AFTER_CHANGE + 1
            if left:
                left -= 1
                notify()

    looker = threading.Thread(target=look_now_and_then, name="aion file watcher", daemon=True)
    looker.start()
    try:
        yield
    finally:
        over.set()
        looker.join()


def _state_of(log: Path) -> tuple[int, int] | None:
    try:
        found = log.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
