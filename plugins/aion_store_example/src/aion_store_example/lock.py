"""Who may write: one writer at a time, by an epoch, and a lock that dies with its holder.

The epoch decides: each transaction of a writer compares it with its own. The lock says only whether
the holder is alive. Each epoch has a file of its own, so that a writer which was replaced, and
lives on, holds nothing of its successor's.
"""

from __future__ import annotations

import fcntl
import os
import socket
import weakref
from pathlib import Path

from aion_core.errors import StoreUnavailableError
from aion_store_example.database import Counter, Database, Transaction

__all__ = ["Claim", "claim", "release"]


class Claim:
    """The authority of one writer.

    Attributes:
        after_crash: the writer before it did not leave in order.
    """

    def __init__(self, path: Path, epoch: int, after_crash: bool) -> None:
        self.path = path
        self.epoch = epoch
        self.after_crash = after_crash
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        # Also when it is dropped without being released: then its holder is gone.
        self.unlock = weakref.finalize(self, os.close, descriptor)
        holder = f"process {os.getpid()} on {socket.gethostname()}"
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.pwrite(descriptor, holder.encode(), 0)
        except OSError:
            self.unlock()
            raise


def claim(database: Database, takeover: bool) -> Claim:
    """Become the writer.

    Raises:
        StoreUnavailableError: there is one, and it is not to be replaced.
    """
    claimed: Claim | None = None
    try:
        # A transaction of all processes: nobody else looks, or claims, in between.
        with database.writing() as txn:
            before = txn.number(Counter.EPOCH)
            holder = _holder(_path(database, before))
            if holder is not None and not takeover:
                raise StoreUnavailableError(
                    f"{database.directory} is written by {holder}; stop that one, "
                    "or take its place with takeover=True"
                )
            epoch = before + 1
            claimed = Claim(_path(database, epoch), epoch, txn.number(Counter.WRITING) > 0)
            txn.set_number(Counter.EPOCH, epoch)
            txn.set_number(Counter.WRITING, 1)
    except BaseException as error:
        if claimed is not None:
            # Nothing was committed: the epoch is for whoever comes next.
            claimed.unlock()
        if isinstance(error, OSError):
            raise StoreUnavailableError(
                f"the lock of the writer cannot be made: {error}; see to {database.directory}"
            ) from error
        raise
    _path(database, before).unlink(missing_ok=True)
    return claimed


def release(database: Database, claimed: Claim) -> None:
    """Leave in order, if nobody has taken the writer's place."""
    try:
        with database.writing() as txn:
            if holds(txn, claimed):
                txn.set_number(Counter.WRITING, 0)
    finally:
        claimed.path.unlink(missing_ok=True)
        claimed.unlock()


def holds(txn: Transaction, claimed: Claim) -> bool:
    """Is it still the writer's epoch?"""
    return txn.number(Counter.EPOCH) == claimed.epoch


def _path(database: Database, epoch: int) -> Path:
    return database.directory / f"writer-{epoch}.lock"


def _holder(path: Path) -> str | None:
    """Who holds the lock; None when nobody does."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(descriptor, 200, 0).decode(errors="replace")
    finally:
        os.close(descriptor)
    return None
