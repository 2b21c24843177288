"""Configuration: which place counts, and what is said of what cannot be used."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from aion_core.errors import ConfigError
from aion_runtime.configuration import Configuration, load_configuration

NAMES = ("store", "executor", "recovery_driver", "recovery_seam")


def load(
    directory: Path,
    *,
    environ: Mapping[str, str] | None = None,
    arguments: Mapping[str, object] | None = None,
) -> Configuration:
    return load_configuration(arguments=arguments or {}, environ=environ or {}, directory=directory)


def refusal(directory: Path, **places: Any) -> str:
    """The message of the error, with the directory as a dot."""
    with pytest.raises(ConfigError) as info:
        load(directory, **places)
    return str(info.value).replace(str(directory), ".")


def own(directory: Path, text: str) -> Path:
    (directory / "aion.toml").write_text(text)
    return directory


def project(directory: Path, text: str) -> Path:
    (directory / "pyproject.toml").write_text(text)
    return directory


def test_without_any_place_the_defaults_are_those_of_the_runtime(tmp_path: Path) -> None:
    assert load(tmp_path) == Configuration(
        store=None,
        executor="local",
        recovery_driver="machine",
        recovery_seam="catalog",
        payload_codecs=(),
        disabled_plugins=(),
        dev_mode=None,
        plugin_settings={},
    )


@pytest.mark.parametrize("name", NAMES)
def test_an_argument_counts_before_the_environment(tmp_path: Path, name: str) -> None:
    environ = {f"AION_{name.upper()}": "from environment"}
    found = load(tmp_path, environ=environ, arguments={name: "from argument"})
    assert getattr(found, name) == "from argument"
    assert found.source(name) == "argument"


@pytest.mark.parametrize("name", NAMES)
def test_the_environment_counts_before_the_file(tmp_path: Path, name: str) -> None:
    own(tmp_path, f'{name} = "from file"')
    found = load(tmp_path, environ={f"AION_{name.upper()}": "from environment"})
    assert getattr(found, name) == "from environment"
    assert found.source(name) == f"AION_{name.upper()}"


@pytest.mark.parametrize("name", NAMES)
def test_the_file_counts_before_the_default(tmp_path: Path, name: str) -> None:
    own(tmp_path, f'{name} = "from file"')
    found = load(tmp_path)
    assert getattr(found, name) == "from file"
    assert found.source(name) == str(tmp_path / "aion.toml")


def test_a_value_that_nobody_names_is_said_to_be_a_default(tmp_path: Path) -> None:
    assert load(tmp_path).source("executor") == "default"


@pytest.mark.parametrize("value", [None, ""])
def test_an_argument_or_variable_without_a_value_says_nothing(
    tmp_path: Path, value: str | None
) -> None:
    own(tmp_path, 'store = "memory:"')
    environ = {} if value is None else {"AION_STORE": value}
    assert load(tmp_path, environ=environ, arguments={"store": None}).store == "memory:"


def test_the_table_of_pyproject_is_read_like_a_file_of_our_own(tmp_path: Path) -> None:
    text = 'executor = "x"\nplugins.disable = ["y"]\n'
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    by_own = load(own(tmp_path / "a", f"{text}[plugin.z]\nkey = 1"))
    by_project = load(project(tmp_path / "b", f"[tool.aion]\n{text}[tool.aion.plugin.z]\nkey = 1"))
    assert by_own == by_project
    assert by_own == Configuration(
        executor="x", disabled_plugins=("y",), plugin_settings={"z": {"key": 1}}
    )


def test_the_nearest_directory_above_that_configures_counts(tmp_path: Path) -> None:
    inner = tmp_path / "project" / "package" / "module"
    inner.mkdir(parents=True)
    own(tmp_path, 'executor = "far"\nrecovery_seam = "far"')
    own(tmp_path / "project", 'executor = "near"')
    found = load(inner)
    assert (found.executor, found.recovery_seam) == ("near", "catalog")


def test_a_pyproject_without_our_table_does_not_end_the_search(tmp_path: Path) -> None:
    inner = tmp_path / "package"
    inner.mkdir()
    project(inner, '[tool.other]\nexecutor = "wrong"')
    own(tmp_path, 'executor = "right"')
    assert load(inner).executor == "right"


def test_the_search_begins_in_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own(tmp_path, 'executor = "here"'))
    assert load_configuration(environ={}).executor == "here"


def test_a_current_directory_that_is_gone_has_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert load_configuration(environ={}) == Configuration()


def test_two_files_in_one_directory_are_refused(tmp_path: Path) -> None:
    project(own(tmp_path, ""), "[tool.aion]")
    assert refusal(tmp_path) == (
        "both ./aion.toml and the table tool.aion of ./pyproject.toml configure Aion; "
        "keep one of them"
    )


def test_a_relative_store_of_a_file_above_stays_relative(tmp_path: Path) -> None:
    inner = tmp_path / "package"
    inner.mkdir()
    own(tmp_path, 'store = "sqlite:///aion.db"')
    assert load(inner).store == "sqlite:///aion.db"


def test_names_in_a_variable_stand_between_commas(tmp_path: Path) -> None:
    environ = {"AION_DISABLE_PLUGINS": " a, b ,", "AION_PAYLOAD_CODECS": "zip,seal"}
    found = load(tmp_path, environ=environ)
    assert found.disabled_plugins == ("a", "b")
    assert found.payload_codecs == ("zip", "seal")


@pytest.mark.parametrize(("text", "mode"), [("1", True), ("0", False), (" ", None)])
def test_development_is_a_1_or_0_in_a_variable(
    tmp_path: Path, text: str, mode: bool | None
) -> None:
    assert load(tmp_path, environ={"AION_DEV": text}).dev_mode is mode


def test_development_may_be_a_truth_in_a_file(tmp_path: Path) -> None:
    assert load(own(tmp_path, "dev_mode = true")).dev_mode is True


def test_an_unclear_word_on_development_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"environment: AION_DEV is text; .* 1 or 0"):
        load(tmp_path, environ={"AION_DEV": "perhaps"})


def test_an_empty_list_in_a_variable_counts_before_the_file(tmp_path: Path) -> None:
    own(tmp_path, 'plugins.disable = ["a"]')
    assert load(tmp_path, environ={"AION_DISABLE_PLUGINS": ""}).disabled_plugins == ()


def test_settings_of_plugins_are_taken_key_by_key(tmp_path: Path) -> None:
    own(tmp_path, "[plugin.a]\nx = 1\ny = 1\n[plugin.b]\nz = 1")
    found = load(tmp_path, arguments={"plugin_settings": {"a": {"y": 2}}})
    assert found.plugin_settings == {"a": {"x": 1, "y": 2}, "b": {"z": 1}}


def test_an_unknown_key_names_the_file_and_the_nearest_key(tmp_path: Path) -> None:
    own(tmp_path, 'exekutor = "local"')
    assert refusal(tmp_path) == "./aion.toml: 'exekutor' is not known; did you mean 'executor'?"


def test_an_unknown_key_of_pyproject_is_named_in_its_file(tmp_path: Path) -> None:
    project(tmp_path, '[tool.aion]\nrecovery-driver = "machine"')
    assert refusal(tmp_path) == (
        "./pyproject.toml: 'recovery-driver' is not known; did you mean 'recovery_driver'?"
    )


def test_an_unknown_key_in_a_table_is_named_by_its_path(tmp_path: Path) -> None:
    own(tmp_path, 'plugins.disabled = ["a"]')
    assert refusal(tmp_path) == (
        "./aion.toml: 'plugins.disabled' is not known; did you mean 'plugins.disable'?"
    )


def test_an_unknown_key_that_is_like_no_other_is_answered_by_all_of_them(tmp_path: Path) -> None:
    own(tmp_path, "zzz = 1")
    assert refusal(tmp_path) == (
        "./aion.toml: 'zzz' is not known; there are dev_mode, executor, payload_codecs, "
        "plugin, plugins.disable, recovery_driver, recovery_seam, store"
    )


def test_an_unknown_argument_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, arguments={"executer": "x"}) == (
        "argument: 'executer' is not known; did you mean 'executor'?"
    )


def test_a_mistyped_variable_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, environ={"AION_EXECUTER": "x"}) == (
        "the environment variable AION_EXECUTER is not known; did you mean AION_EXECUTOR?"
    )


@pytest.mark.parametrize("variable", ["AION_UI_PORT", "AION_STORE_PASSWORD", "AIONX"])
def test_a_variable_of_somebody_else_is_ignored(tmp_path: Path, variable: str) -> None:
    assert load(tmp_path, environ={variable: "x"}) == Configuration()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("executor = 3", "executor is a number; it has to be a name"),
        ("executor = true", "executor is true or false; it has to be a name"),
        ('executor = ""', "executor is empty; it has to be a name"),
        ("store = ['memory:']", "store is a list; it has to be a store URL"),
        ("recovery_seam = {}", "recovery_seam is a table; it has to be a name"),
        ("payload_codecs = 'zip'", "payload_codecs is text; it has to be a list of names"),
        ("plugins.disable = [1]", "plugins.disable is a list; it has to be a list of names"),
        ("plugins = ['a']", "plugins is a list; write it as a table"),
        ("plugin = 1979-05-27", "plugin is of type date; it has to be tables"),
        ("plugin.otel = 'x'", "plugin is a table; it has to be tables, one for each plugin"),
    ],
)
def test_a_value_of_the_wrong_type_is_named_with_what_it_has_to_be(
    tmp_path: Path, text: str, told: str
) -> None:
    assert refusal(own(tmp_path, text)).startswith(f"./aion.toml: {told}")


def test_a_table_of_pyproject_that_is_none_is_refused(tmp_path: Path) -> None:
    project(tmp_path, "[tool]\naion = 3")
    assert refusal(tmp_path) == "./pyproject.toml: aion is a number; write it as a table"


def test_an_argument_of_the_wrong_type_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, arguments={"executor": object()}) == (
        "argument: executor is of type object; it has to be a name"
    )


@pytest.mark.parametrize("name", ["aion.toml", "pyproject.toml"])
def test_a_file_that_is_no_toml_is_named_with_the_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('\n\nexecutor = "local\n')
    message = refusal(tmp_path)
    assert message.startswith(f"./{name} is no TOML: ")
    assert "at line 3" in message


def test_a_file_that_is_not_utf_8_is_named_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "aion.toml").write_bytes(b'\nexecutor = "\xff"\n')
    assert refusal(tmp_path) == "./aion.toml, line 2: this is not UTF-8; write it as UTF-8"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "aion.toml").mkdir()
    assert refusal(tmp_path) == (
        "./aion.toml cannot be read: Is a directory; make it readable, or move it away"
    )


def test_a_value_is_never_shown_in_an_error(tmp_path: Path) -> None:
    own(tmp_path, 'plugin.otel = "s3cret"\nstore = ["s3cret"]')
    assert "s3cret" not in refusal(tmp_path)


def test_what_was_read_cannot_be_changed(tmp_path: Path) -> None:
    found = load(own(tmp_path, "[plugin.a]\nx = 1"))
    with pytest.raises(TypeError):
        found.plugin_settings["a"]["x"] = 2  # type: ignore[index]


def test_reading_the_configuration_imports_neither_the_engine_nor_its_event_loop() -> None:
    code = "import sys, aion_runtime.configuration as c; c.load_configuration();print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert not {"trio", "cattrs", "pluggy", "aion_runtime.engine"} & {*done.stdout.split()}
