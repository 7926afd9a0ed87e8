"""Settings from a TOML file, then FHIR_SERVER_* variables, then flags; later ones win."""

import argparse
import json
import logging
import tomllib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from fhir_server.settings import Settings

PREFIX = "FHIR_SERVER_"
PLUGIN = "plugin__"


RENAMED: Final[Mapping[str, str]] = {
    "audit_archive": "plugins.fhir_audit.archive",
    "audit_siem": "plugins.fhir_audit.siem",
    "audit_siem_ca": "plugins.fhir_audit.siem_ca",
}
"""Settings of earlier releases: their old names are taken, with a warning, until the release after the next."""

_log = logging.getLogger("fhir_server.settings")


class ConfigurationError(Exception):
    """A setting that cannot be used; the message names it and where it came from."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Give the parser `--config FILE` and one flag for each setting, with its line of meaning as help."""
    parser.add_argument("--config", type=Path, help="TOML file with settings")
    group = parser.add_argument_group("settings")
    for name, field in Settings.model_fields.items():
        flag = "--" + name.replace("_", "-")
        text = f"{field.description} Default: {field.default!r}.".replace("%", "%%")
        if isinstance(field.default, bool):
            group.add_argument(flag, dest=name, action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            group.add_argument(flag, dest=name, default=None, metavar="VALUE", help=text)


def read_settings(flags: argparse.Namespace, environment: Mapping[str, str]) -> Settings:
    """Merge the three sources.

    Raises:
        ConfigurationError: an unknown name or a value that does not fit.
    """
    values: dict[str, Any] = {}
    if flags.config is not None:
        values.update(_renamed(_from_file(flags.config)))
    told = _renamed(_from_environment(environment))
    if isinstance(told.get("plugins"), dict):
        told["plugins"] = _merged(values.get("plugins"), told["plugins"])
    values.update(told)
    values.update({name: value for name in Settings.model_fields if (value := getattr(flags, name, None)) is not None})
    try:
        settings = Settings(**{name: _shape(name, value) for name, value in values.items()})
    except ValidationError as error:
        raise ConfigurationError("; ".join(_said(item) for item in error.errors())) from None
    for name, check in _SENSE.items():
        try:
            check(getattr(settings, name))
        except (ValueError, LookupError, OSError) as error:
            raise ConfigurationError(f"{name}: {error}") from None
    return settings


def _said(fault: Any) -> str:
    """Return a fault in words; of a name that there is not, which one may be meant."""
    name = ".".join(map(str, fault["loc"]))
    if fault["type"] != "extra_forbidden":
        return f"{name}: {fault['msg']}"
    near = get_close_matches(name, Settings.model_fields, 1)
    return f"there is no setting {name!r}" + (f"; did you mean {near[0]}?" if near else " (docs/settings.md has all)")


def _cron(text: str) -> None:
    if text:
        from fhir_server.feed.cron import Cron  # which few need, and no other command

        Cron.parse(text)


def _zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ValueError, LookupError, OSError):
        raise ValueError(f"{name!r} is no time zone such as UTC or Africa/Lagos") from None


def _url(text: str) -> None:
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
        raise ValueError(f"{text!r} is no URL of a FHIR endpoint such as https://ehr.example/fhir")


def _peers(peers: tuple[str, ...]) -> None:
    for peer in peers:
        if peer not in ("*", "unix"):
            ip_network(peer, strict=False)  # a name would never be believed: peers are known by their address


def _folder(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is no folder")


def _file(path: Path | None) -> None:
    if path is not None and not path.absolute().parent.is_dir():
        raise ValueError(f"there is no folder {path.absolute().parent}")


_SENSE: Final[Mapping[str, Callable[[Any], None]]] = {
    "audit_verify_cron": _cron,
    "base_url": _url,
    "data_dir": _folder,
    "default_timezone": _zone,
    "erasure_register": _file,
    "retention_cron": _cron,
    "trusted_proxies": _peers,
}
"""Settings whose form says little of whether they can be used, so that a start tells, and not a request at night."""


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path}: {error}") from None


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    found = {name[len(PREFIX) :].lower(): value for name, value in environment.items() if name.startswith(PREFIX)}
    plain = {name: value for name, value in found.items() if not name.startswith(("test_", PLUGIN))}
    of_plugins = _of_plugins({name: value for name, value in found.items() if name.startswith(PLUGIN)})
    return {**plain, "plugins": of_plugins} if of_plugins else plain


def _renamed(given: dict[str, Any]) -> dict[str, Any]:
    """Put what is given under old names where it belongs now; what is given under the new name too wins."""
    values = {name: value for name, value in given.items() if name not in RENAMED}
    for old in RENAMED.keys() & given.keys():
        _log.warning("the setting %s is called %s now; the old name goes in a later release", old, RENAMED[old])
        *path, name = RENAMED[old].split(".")
        place = values
        for part in path:
            place[part] = dict(place.get(part, {}))
            place = place[part]
        place.setdefault(name, given[old])
    return values


def _of_plugins(found: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Read `FHIR_SERVER_PLUGIN__NAME__FIELD`."""
    settings: dict[str, dict[str, str]] = {}
    for name, value in found.items():
        plugin, _, field = name[len(PLUGIN) :].partition("__")
        settings.setdefault(plugin, {})[field] = value
    return settings


def _merged(below: Any, above: Any) -> dict[str, Any]:
    """Put settings of plugins over those of the file, field by field."""
    both = {**(below if isinstance(below, dict) else {})}
    for name, fields in above.items():
        both[name] = {**both.get(name, {}), **fields}
    return both


def _shape(name: str, value: Any) -> Any:
    """Split comma-separated text where the setting is a list."""
    field = Settings.model_fields.get(name)
    if field is not None and isinstance(field.default, tuple) and isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if field is not None and isinstance(field.default, dict) and isinstance(value, str):
        return _json(name, value)
    return value


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"{name}: not JSON: {error}") from None
