"""The writer's lock: a file beside the database that names the process which writes.

It keeps a second engine from starting, and goes with its process. It is not what protects the
data: that is the epoch, checked inside every transaction. The database file itself is never
locked here, nor even opened: to close it would take away SQLite's own locks.
"""

from __future__ import annotations

import fcntl
import os
import weakref
from collections.abc import Callable
from pathlib import Path

from aion_core.errors import StoreUnavailableError

__all__ = ["WriterLock"]

ATTEMPTS = 100


class WriterLock:
    """A held lock. Got from `acquire`."""

    def __init__(self, path: Path, fd: int) -> None:
        self._path = path
        self._fd = fd
        # A forked child has the lock, too, and would keep it when this process has died.
        os.register_at_fork(after_in_child=_closing(weakref.ref(self)))

    @classmethod
    def acquire(cls, database: Path, *, takeover: bool) -> WriterLock:
        """Take the lock of a database; with ``takeover``, whoever holds it.

        Raises:
            StoreUnavailableError: somebody holds it.
        """
        path = database.with_name(database.name + ".lock")
        for _ in range(ATTEMPTS):
            try:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise StoreUnavailableError(
                    f"the lock file {str(path)!r} cannot be opened ({error.strerror}); "
                    "check the rights on its directory"
                ) from error
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = _holder(fd)
                os.close(fd)
                if not takeover:
                    raise StoreUnavailableError(
                        f"{str(database)!r} is being written by {holder}; stop it first, or reach "
                        "it with open_client() or 'aion start'"
                    ) from None
                # The holder keeps its lock, on a file that has no name any more.
                path.unlink(missing_ok=True)
                continue
            except OSError as error:
                os.close(fd)
                raise StoreUnavailableError(
                    f"the file system of {str(path)!r} cannot lock files ({error.strerror}); "
                    "move the database to a local disk"
                ) from error
            lock = cls(path, fd)
            # Between opening and locking, a takeover may have put another file in its place.
            if lock.is_current():
                os.ftruncate(fd, 0)
                os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
                return lock
            lock.release()
        raise StoreUnavailableError(f"the lock on {str(database)!r} changes hands; try again")

    def is_current(self) -> bool:
        """Is this still the lock that others find?"""
        try:
            named = self._path.stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(self._fd))

    def release(self) -> None:
        """Let the next writer in. The file stays: to unlink it could hit a successor's."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


def _holder(fd: int) -> str:
    pid = os.pread(fd, 32, 0).decode(errors="replace").strip()
    if pid == str(os.getpid()):
        return f"this process ({pid})"
    return f"process {pid}" if pid else "another process"


def _closing(reference: weakref.ref[WriterLock]) -> Callable[[], None]:
    def close_in_child() -> None:
        lock = reference()
        if lock is not None:
            lock.release()

    return close_in_child
