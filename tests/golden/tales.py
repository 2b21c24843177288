"""Tales: a workflow, what happens to it, and how that ends. The golden rule is told by them."""

from __future__ import annotations

from typing import Any, TypeAlias

import attrs

from aion_core.authoring.workflows import Workflow
from aion_runtime.testing.script import Item, Script

Value: TypeAlias = int | str | bool

OPEN = object()
"""In place of a result: the workflow goes on after its script."""


@attrs.frozen
class Failed:
    """In place of a result: the workflow fails so."""

    type: str


@attrs.frozen
class Tale:
    """One workflow.

    Attributes:
        script: sees it through.
        result: what it returns then.
        extras: what may happen besides, when a script is made up.
        workflows: others that take part, beside those that it names.
        delay: of its start, in seconds; then its first timer is that of the start.
    """

    workflow: Workflow[..., Any]
    script: Script
    result: object
    args: tuple[object, ...] = ()
    extras: Script = ()
    workflows: tuple[Workflow[..., Any], ...] = ()
    delay: float | None = None

    @property
    def alphabet(self) -> list[Item]:
        """What scripts are made up of."""
        return [*self.script, *self.extras]
