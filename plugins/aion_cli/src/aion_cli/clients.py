"""A client of the engine that has the store open, for the verbs that talk to one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

import aion_runtime as aion
from aion_cli.stores import choose_store, start_is_kept, unknown_id
from aion_cli.trio_running import run_async
from aion_core.contracts import EventStore
from aion_core.errors import PayloadError, WorkflowClosedError, WorkflowNotFoundError
from aion_core.ids import WorkflowId, validated_workflow_id

__all__ = ["ask_engine"]

T = TypeVar("T")


def ask_engine(
    store: str | None,
    timeout: float,
    ask: Callable[[aion.Client], Awaitable[T]],
    *,
    about: str | None = None,
    takes_closed: bool = False,
    given: str | None = None,
) -> T:
    """What a client is told by the engine.

    Args:
        store: URL of the store; None for the configured one.
        timeout: seconds in which an engine has to answer.
        about: the workflow that has to be there, or on its way.
        takes_closed: it may have ended.
        given: the JSON of the command line that is asked with, in words.

    Raises:
        click.UsageError: that JSON does not fit.
        NoAnswerError: none has; what was asked is kept in the store.
        UnknownIdError: no workflow has the id; says which one may have been meant.
        WorkflowClosedError: it has ended.
    """
    chosen = choose_store(store)

    async def asked() -> T:
        async with (
            chosen.reading() as opened,
            aion.open_client(opened, plugins=chosen.plugins, answer_timeout=timeout) as client,
        ):
            if about is not None:
                await _require(opened, validated_workflow_id(about), takes_closed=takes_closed)
            try:
                return await ask(client)
            except WorkflowNotFoundError as error:
                raise await unknown_id(opened, error.workflow_id) from error
            except PayloadError as error:
                if given is None:
                    raise
                raise click.UsageError(f"{given}: {error}") from error

    return run_async(asked)


async def _require(store: EventStore, workflow_id: WorkflowId, *, takes_closed: bool) -> None:
    """Refuse at once what no engine would take: there may be none that could say so."""
    summary = await store.read_summary(workflow_id)
    if summary is None:
        if await start_is_kept(store, workflow_id):
            return
        raise await unknown_id(store, workflow_id)
    if summary.status.is_closed and not takes_closed:
        raise WorkflowClosedError(workflow_id, summary.status.value)
