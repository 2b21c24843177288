"""The deterministic heart of Aion: it decides what happens next and does no I/O.

Users import `aion_runtime`, which re-exports the authoring API. Writers of plugins import the
modules here: `aion_core.contracts` for what a store is, `aion_core.history` for the projections
it keeps, `aion_core.codec` and `aion_core.storing` for events at rest, `aion_core.hookspecs` for
how it is found.
"""
