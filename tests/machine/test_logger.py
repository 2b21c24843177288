"""The logger of workflow code: silent in replay, held until what the code did is recorded."""

import logging
from collections.abc import Mapping

import pytest

from aion_core.authoring.loglines import logger
from aion_core.authoring.signals import Signal
from aion_core.machine.saying import LogLine
from tests.machine.driver import Driver, driven

go = Signal("go", int)


async def talking() -> None:
    logger.info("begun %s", "it")
    await go.receive()
    logger.warning("done", extra={"n": 1})


def said(driver: Driver) -> list[tuple[int, str]]:
    return [(line.level, line.message) for line in lines_of(driver)]


def test_lines_are_held_until_somebody_takes_them(caplog: pytest.LogCaptureFixture) -> None:
    driver = driven(talking)
    assert caplog.records == []
    assert said(driver) == [(logging.INFO, "begun it")]
    driver.signal("go", 1)
    assert said(driver) == [(logging.WARNING, "done")]
    assert said(driver) == []


def test_a_replay_says_nothing_again() -> None:
    driver = driven(talking)
    driver.reload()
    assert said(driver) == []
    driver.signal("go", 1)
    assert said(driver) == [(logging.WARNING, "done")]


def lines_of(driver: Driver) -> list[LogLine]:
    return [line for _, line in driver.run.take_log_lines()]


def test_a_line_knows_where_it_was_said_and_what_goes_with_it() -> None:
    driver = driven(talking)
    driver.signal("go", 1)
    first, last = lines_of(driver)
    assert (first.file, first.function) == (__file__, "talking")
    assert first.line == talking.__code__.co_firstlineno + 1
    assert (last.extra, last.error) == ({"n": 1}, None)


def test_every_level_has_its_method() -> None:
    async def main() -> None:
        logger.debug("d")
        logger.info("i")
        logger.warning("w")
        logger.error("e")
        logger.critical("c")
        logger.log(35, "l")

    assert said(driven(main)) == [(10, "d"), (20, "i"), (30, "w"), (40, "e"), (50, "c"), (35, "l")]


def test_an_exception_goes_with_its_traceback() -> None:
    async def main() -> None:
        try:
            raise RuntimeError("broken")
        except RuntimeError as error:
            logger.exception("one")
            logger.error("two", exc_info=True)
            kept = error
        logger.error("three", exc_info=kept)
        logger.error("four", exc_info=True)

    errors = [line.error for line in lines_of(driven(main))]
    assert errors[0] is not None
    assert errors[0].startswith("Traceback")
    assert errors[0].endswith("RuntimeError: broken")
    assert errors == [errors[0], errors[0], errors[0], None]


def test_the_place_may_be_that_of_a_caller() -> None:
    def say() -> None:
        logger.info("a")
        logger.info("b", stacklevel=2)
        logger.info("c", stacklevel=99)

    async def main() -> None:
        say()

    lines = lines_of(driven(main))
    assert [line.function for line in lines[:2]] == ["say", "main"]


@pytest.mark.parametrize(
    ("message", "args", "text"),
    [
        ("100 %", (), "100 %"),
        ("%(a)s", ({"a": 1},), "1"),
        ("%s %s", (1, 2), "1 2"),
        ("%d", ("x",), "%d ('x',) (not put in: %d format: a real number is required, not str)"),
        (7, (), "7"),
    ],
)
def test_arguments_are_put_in_when_the_line_is_said(
    message: object, args: tuple[object, ...], text: str
) -> None:
    async def main() -> None:
        logger.info(message, *args)

    assert said(driven(main)) == [(logging.INFO, text)]


def test_what_changes_after_a_line_was_said_does_not_change_it() -> None:
    async def main() -> None:
        state, extra = [1], {"n": 1}
        logger.info("%s", state, extra=extra)
        state.append(2)
        extra["n"] = 2

    (line,) = lines_of(driven(main))
    kept: Mapping[str, object] = line.extra
    assert (line.message, kept) == ("[1]", {"n": 1})


def test_outside_a_workflow_a_line_is_logged_at_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "aion.workflow")
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        logger.exception("%s happened", "it", extra={"n": 1})
    (record,) = caplog.records
    assert (record.name, record.message, record.levelno) == ("aion.workflow", "it happened", 40)
    assert (record.funcName, record.__dict__["n"]) == (
        "test_outside_a_workflow_a_line_is_logged_at_once",
        1,
    )
    assert record.exc_info is not None
