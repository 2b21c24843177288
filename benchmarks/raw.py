"""The raw limit: how fast this machine makes rows durable with plain ``sqlite3``."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

__all__ = ["commits_per_second"]

PAYLOAD = "x" * 300


def commits_per_second(directory: Path, *, rows_per_commit: int, commits: int) -> float:
    """Rate of durable commits in a loop of one thread: WAL, ``synchronous=FULL``."""
    connection = sqlite3.connect(directory / f"raw-{rows_per_commit}.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS events (position INTEGER PRIMARY KEY, workflow INTEGER, "
        "seq INTEGER, data TEXT, UNIQUE (workflow, seq))"
    )
    (first,) = connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
    began = time.perf_counter()
    for commit in range(commits):
        seq = first + commit * rows_per_commit
        rows = [(1, seq + row + 1, PAYLOAD) for row in range(rows_per_commit)]
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO events (workflow, seq, data) VALUES (?, ?, ?)", rows)
        connection.execute("COMMIT")
    rate = commits / (time.perf_counter() - began)
    connection.close()
    return rate
