"""The two ends of a move, as they are named on the command line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from fhir_server.settings import Settings
from fhir_server.storage.moving import Installation
from fhir_server.storage.sqlite.loading import SqliteInstallation
from fhir_server.storage.sqlite.store import milliseconds

_MONGODB: Final = ("mongodb", "mongodb+srv")


class BadEnd(ValueError):
    """An end of a move that cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class End:
    """An installation by the settings that open it."""

    settings: Settings

    @property
    def engine(self) -> str:
        """The name of its engine."""
        return self.settings.storage

    @property
    def encrypted(self) -> bool:
        """Whether what it holds is encrypted by the server."""
        return self.settings.encryption == "on"

    def open(self) -> Installation:
        """Return it; nothing is connected yet."""
        if self.engine == "sqlite":
            return SqliteInstallation(self.settings, milliseconds)
        from fhir_server.storage.mongodb.loading import MongoInstallation  # the driver is an extra

        return MongoInstallation(self.settings)


def end_of(text: str, settings: Settings) -> End:
    """Return the end that a URL names, or `settings` for the one that the settings name.

    Raises:
        BadEnd: no engine is called so, or its driver is not installed.
    """
    if text == "settings":
        return End(settings)
    parts = urlsplit(text)
    if parts.scheme == "sqlite":
        return End(_changed(settings, storage="sqlite", data_dir=_folder(parts.netloc + parts.path)))
    if parts.scheme not in _MONGODB:
        said = parts.scheme or text[:80]  # the rest of an address may hold a password
        raise BadEnd(f"{said!r}: name a store as sqlite:///path/to/data, mongodb://host/prefix or settings")
    prefix = parts.path.strip("/") or settings.mongodb_database
    address = urlunsplit((parts.scheme, parts.netloc, "/", parts.query, ""))
    return End(_changed(settings, storage="mongodb", mongodb_url=address, mongodb_database=prefix, encryption="off"))


def same(one: End, other: End) -> bool:
    """Tell whether two ends are the same place."""
    a, b = one.settings, other.settings
    if one.engine != other.engine:
        return False
    if one.engine == "sqlite":
        return a.data_dir.resolve() == b.data_dir.resolve()
    return (a.mongodb_url, a.mongodb_database) == (b.mongodb_url, b.mongodb_database)


def _changed(settings: Settings, **values: object) -> Settings:
    try:
        return Settings.model_validate({**settings.model_dump(), **values})
    except ValueError as error:
        raise BadEnd(str(error)) from None


def _folder(path: str) -> Path:
    if not path:
        raise BadEnd("sqlite:// needs the data folder: sqlite:///path/to/data")
    return Path(path)
