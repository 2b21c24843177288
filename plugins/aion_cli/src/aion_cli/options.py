"""Options and arguments that several commands share. Imports nothing but click."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from aion_cli.given import JsonText

__all__ = [
    "Seconds",
    "attributes_option",
    "input_option",
    "json_option",
    "log_level_option",
    "modules_argument",
    "reason_option",
    "store_option",
    "timeout_option",
    "workflow_id_argument",
]

F = TypeVar("F", bound=Callable[..., Any])

LONGEST_S = 9e10
"""A little less than the longest duration there is in Aion, three thousand years."""


class Seconds(click.FloatRange):
    """A number of seconds that a clock can bear: neither NaN nor infinite."""

    def __init__(self, least: float, *, min_open: bool = False) -> None:
        super().__init__(least, LONGEST_S, min_open=min_open)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number. Raises `click.BadParameter` if it is none or not in the range."""
        seconds = super().convert(value, param, ctx)
        if seconds != seconds:
            self.fail(f"{value} is no number", param, ctx)
        return seconds

    def _describe_range(self) -> str:
        # The upper end is of no use to anybody who reads the help.
        return f"x{'>' if self.min_open else '>='}{self.min:g}"


store_option = click.option(
    "--store",
    metavar="URL",
    help="The store; when not given, AION_STORE, or store in aion.toml.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
workflow_id_argument = click.argument("workflow_id", metavar="ID")
modules_argument = click.argument("modules", metavar="MODULE...", nargs=-1, required=True)
timeout_option = click.option(
    "--timeout",
    type=Seconds(0, min_open=True),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for an engine's answer.",
)
input_option = click.option(
    "--input",
    "given",
    type=JsonText(),
    default="{}",
    metavar="JSON",
    help="The arguments, a JSON object by parameter name; '-' reads stdin, '@FILE' a file.",
)
attributes_option = click.option(
    "--attribute",
    "attributes",
    metavar="NAME=VALUE",
    multiple=True,
    help="An attribute; may be given several times. VALUE is JSON, else text.",
)


def log_level_option(default: str | None) -> Callable[[F], F]:
    """``--log-level``; without a default nothing is logged."""
    return click.option(
        "--log-level",
        type=click.Choice(("debug", "info", "warning", "error"), case_sensitive=False),
        default=default,
        show_default=True,
        help="What is logged on stderr.",
    )


def reason_option(default: str) -> Callable[[F], F]:
    """``--reason``, with what is recorded when it is not given."""
    return click.option("--reason", default=default, show_default=True, help="Why; it is recorded.")
