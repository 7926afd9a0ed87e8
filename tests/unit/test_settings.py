"""Settings come from three sources in a fixed order, refuse what they do not know, and are documented."""

import argparse
from pathlib import Path

import pytest

from fhir_server.commands.configuration import ConfigurationError, add_flags, read_settings
from scripts.generate_settings import page


def _flags(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return parser.parse_args(arguments)


def test_flags_win_over_variables_and_variables_over_the_file(tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    config.write_text('port = 1001\nworkers = 3\nhost = "127.0.0.2"\ncors_origins = ["http://a", "http://b"]\n')
    environment = {"FHIR_SERVER_PORT": "1002", "FHIR_SERVER_WORKERS": "4", "HOME": "/", "FHIR_SERVER_TEST_DATA": "x"}
    settings = read_settings(_flags("--config", str(config), "--port", "1003", "--no-demo"), environment)
    assert (settings.port, settings.workers, settings.host, settings.demo) == (1003, 4, "127.0.0.2", False)
    assert settings.cors_origins == ("http://a", "http://b")


def test_lists_are_split_at_commas() -> None:
    assert read_settings(_flags("--cors-origins", "http://a, http://b"), {}).cors_origins == ("http://a", "http://b")


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"FHIR_SERVER_PROT": "1"}, "prot"),
        ({"FHIR_SERVER_PORT": "many"}, "port"),
        ({"FHIR_SERVER_WORKERS": "0"}, "workers"),
    ],
)
def test_a_wrong_setting_is_named(environment: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        read_settings(_flags(), environment)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    config.write_text("port = = 1")
    with pytest.raises(ConfigurationError, match=r"server\.toml"):
        read_settings(_flags("--config", str(config)), {})


def test_the_page_of_settings_is_that_of_the_code() -> None:
    assert (Path(__file__).parents[2] / "docs" / "settings.md").read_text() == page()
