"""Saying: what workflow code has said goes to the log, once what it did is durable."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from aion_core.ids import RunId, WorkflowId
from aion_core.machine.saying import LOGGER_NAME, LogLine

__all__ = ["LOGGER_NAME", "say"]


def say(lines: Iterable[tuple[RunId, LogLine]], workflow_id: WorkflowId) -> None:
    """Log lines in their order; records carry ``workflow_id`` and ``run_id``."""
    logger = logging.getLogger(LOGGER_NAME)
    for run_id, line in lines:
        if not logger.isEnabledFor(line.level):
            continue
        record = logger.makeRecord(
            logger.name,
            line.level,
            line.file,
            line.line,
            line.message,
            (),
            None,
            line.function,
            {**line.extra, "workflow_id": workflow_id, "run_id": run_id},
        )
        # Formatted where it was raised: formatters print it as if they had done it themselves.
        record.exc_text = line.error
        logger.handle(record)
