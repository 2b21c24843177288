"""The machine: runs an author's coroutine one arrival at a time. No event loop, no I/O, no clock.

``kernel`` schedules tasks, ``scopes`` and ``nursery`` give them structure, ``environment`` is what
they reach of the world, ``workflow_machine`` activates them, ``run`` turns arrivals into history.
"""
