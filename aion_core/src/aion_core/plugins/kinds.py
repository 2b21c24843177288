"""The kinds of parts that plugins provide by name: a table."""

from __future__ import annotations

import attrs

from aion_core.contracts import (
    ActiveWorkflowRecoverySeam,
    LiveExecutor,
    RecoveryDriver,
    StoreProvider,
)
from aion_core.payloads import PayloadCodec

__all__ = ["CODEC", "DRIVER", "EXECUTOR", "KINDS", "SEAM", "STORE", "Kind"]


@attrs.frozen
class Kind:
    """A kind of part.

    Attributes:
        noun: what it is called in messages.
        hook: by which plugins offer it.
        part: class of which every part is an instance.
    """

    noun: str
    hook: str
    part: type[object]


STORE = Kind("store", "aion_stores", StoreProvider)
EXECUTOR = Kind("executor", "aion_live_executors", LiveExecutor)
DRIVER = Kind("recovery driver", "aion_recovery_drivers", RecoveryDriver)
SEAM = Kind("recovery seam", "aion_recovery_seams", ActiveWorkflowRecoverySeam)
CODEC = Kind("payload codec", "aion_payload_codecs", PayloadCodec)

KINDS = (STORE, EXECUTOR, DRIVER, SEAM, CODEC)
"""In the order in which they are listed."""
