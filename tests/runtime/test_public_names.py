"""``import aion_runtime``: every name is there, and nothing is imported before one is used."""

import subprocess
import sys

import pytest

import aion_runtime as aion
from aion_runtime import api


def test_the_package_has_every_public_name() -> None:
    assert {name: getattr(aion, name) for name in api.__all__} == {
        name: getattr(api, name) for name in api.__all__
    }


def test_the_public_names_are_listed() -> None:
    assert dir(aion) == sorted(api.__all__)


def test_a_name_that_is_not_there_is_missing_from_the_package() -> None:
    with pytest.raises(AttributeError, match=r"^module 'aion_runtime' has no attribute 'slep'$"):
        aion.slep  # type: ignore[attr-defined]  # noqa: B018


def test_importing_the_package_alone_imports_no_event_loop() -> None:
    code = "import sys, aion_runtime; print('trio' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout == "False\n"
