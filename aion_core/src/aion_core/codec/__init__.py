"""The codec: events as one JSON object each, beside the envelope and the kind.

Written by stable kind names, not class names, and read strictly: what does not fit is a
`CorruptHistoryError` that says where. An absent field reads as its default, which is what lets a
later version add fields to old histories.

``events`` writes and reads, ``hooks`` says how each type of field looks, ``compiled`` makes the
readers and writers, ``scheduled`` spares the repeated options of activities, ``instants`` is the
time beside an event.
"""

from aion_core.codec.events import decode_event, encode_event, kind_of
from aion_core.codec.instants import from_micros, to_micros

__all__ = ["decode_event", "encode_event", "from_micros", "kind_of", "to_micros"]
