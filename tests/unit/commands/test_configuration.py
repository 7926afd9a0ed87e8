"""Settings from a file, variables and flags."""

import argparse
from pathlib import Path

import pytest

from fhir_server.commands.configuration import RENAMED, ConfigurationError, add_flags, read_settings
from fhir_server.settings import Settings


def _read(*arguments: str, **environment: str) -> Settings:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return read_settings(parser.parse_args(arguments), environment)


def test_flags_win_over_variables_and_variables_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "fhir.toml"
    file.write_text("port = 1\nworkers = 2\npage_size = 3\n")
    found = _read("--config", str(file), "--port", "9", FHIR_SERVER_PORT="8", FHIR_SERVER_WORKERS="7")
    assert (found.port, found.workers, found.page_size) == (9, 7, 3)


def test_switches_and_lists_can_be_flags() -> None:
    found = _read("--no-demo", "--cors-origins", "https://a, https://b")
    assert found.demo is False
    assert found.cors_origins == ("https://a", "https://b")


def test_variables_of_tests_are_not_settings() -> None:
    assert _read(FHIR_SERVER_TEST_STRICT="1") == Settings()


@pytest.mark.parametrize(
    ("arguments", "environment", "named"),
    [
        (("--port", "99999"), {}, "port"),
        ((), {"FHIR_SERVER_WORKERS": "0"}, "workers"),
        ((), {"FHIR_SERVER_COLOUR": "red"}, "colour"),
        (("--config", "/nowhere.toml"), {}, "/nowhere.toml"),
        ((), {"FHIR_SERVER_PROT": "1"}, "no setting 'prot'; did you mean port"),
        (("--default-timezone", "Mars/X"), {}, "default_timezone: 'Mars/X' is no time zone"),
        (("--retention-cron", "x y"), {}, "retention_cron: .*five fields"),
        (("--audit-verify-cron", "99 * * * *"), {}, "audit_verify_cron"),
        (("--data-dir", __file__), {}, "data_dir: .* is no folder"),
        (("--base-url", "ehr.example"), {}, "base_url: 'ehr.example' is no URL"),
        (("--trusted-proxies", "10.0.0.0/8,balancer"), {}, "trusted_proxies: 'balancer'"),
        (("--erasure-register", "/nowhere/erasures"), {}, "erasure_register: there is no folder /nowhere"),
    ],
)
def test_what_cannot_be_used_is_named(arguments: tuple[str, ...], environment: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        _read(*arguments, **environment)


def test_old_names_of_settings_are_taken_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "fhir.toml"
    file.write_text('audit_archive = "/old"\naudit_siem = "tls://a:1"\n[plugins.fhir_audit]\narchive = "/new"\n')
    found = _read("--config", str(file), FHIR_SERVER_AUDIT_SIEM_CA="ca.pem")
    assert found.plugins["fhir_audit"] == {"archive": "/new", "siem": "tls://a:1", "siem_ca": "ca.pem"}
    assert "the setting audit_siem is called plugins.fhir_audit.siem now" in caplog.text


def test_every_old_name_stands_in_the_page_of_upgrades() -> None:
    page = (Path(__file__).parents[3] / "docs/upgrading.md").read_text()
    for old, new in RENAMED.items():
        assert f"| `{old}` | `{new}` |" in page and old not in Settings.model_fields
