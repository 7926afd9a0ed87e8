"""Records: the versions that were registered, and for each name which version serves."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from fhir_server.plugin_api import Collection, PluginStore, Record, RecordChange, RecordField

VERSIONS: Final = Collection("fhir_ai.models", (RecordField("name"),))
ALIASES: Final = Collection("fhir_ai.aliases")
_MOST: Final = 1_000
_PREVIOUS: Final = 20


@dataclass(frozen=True, slots=True)
class Kept:
    """One registered version: its files and who brought it. blob: of the graph."""

    name: str
    version: str
    manifest: str
    card: str
    key: str
    signature: str
    blob: str
    registered: int
    by: str
    retired: bool = False

    def put(self, expected: int | None = None) -> RecordChange:
        """Return the change that writes it."""
        return RecordChange(VERSIONS.name, key_of(self.name, self.version), asdict(self), expected)


@dataclass(frozen=True, slots=True)
class Aliases:
    """What serves under one name. canary: percentage of patients who are shown the challenger; 0: it is only a shadow.

    previous: champions of before, the last one last. stopped: versions that do not answer, and why.
    """

    name: str
    champion: str = ""
    challenger: str = ""
    canary: float = 0.0
    previous: tuple[str, ...] = ()
    stopped: Mapping[str, str] = field(default_factory=dict)
    changed: int = 0
    by: str = ""
    revision: int = 0

    def put(self) -> RecordChange:
        """Return the change that writes it, if nobody else has changed it since it was read."""
        value = asdict(self)
        del value["revision"]
        return RecordChange(ALIASES.name, self.name, value, self.revision)

    def crowned(self, version: str) -> "Aliases":
        """Return them with another champion; a challenger that became it challenges no more."""
        if version == self.champion:
            return self
        previous = (*self.previous, self.champion)[-_PREVIOUS:] if self.champion else self.previous
        rest = replace(self, challenger="", canary=0.0) if self.challenger == version else self
        return replace(rest, champion=version, previous=previous)

    def rolled_back(self) -> "Aliases":
        """Return them with the champion of before, and nobody who challenges."""
        *previous, version = self.previous
        return replace(self, champion=version, previous=tuple(previous), challenger="", canary=0.0)


def key_of(name: str, version: str) -> str:
    """Return the key of a version."""
    return f"{name}@{version}"


async def kept(store: PluginStore, name: str, version: str) -> Kept | None:
    """Return one version that was registered."""
    record = await store.get(VERSIONS.name, key_of(name, version))
    return None if record is None else _kept(record)


async def all_kept(store: PluginStore) -> list[Kept]:
    """Return all versions that were registered."""
    return [_kept(record) for record in await store.find(VERSIONS.name, limit=_MOST)]


async def all_aliases(store: PluginStore) -> dict[str, Aliases]:
    """Return what serves, by name."""
    return {record.key: _aliases(record) for record in await store.find(ALIASES.name, limit=_MOST)}


def _kept(record: Record) -> Kept:
    value: Any = record.value
    return Kept(**value)


def _aliases(record: Record) -> Aliases:
    value: Any = dict(record.value)
    return Aliases(**{**value, "previous": tuple(value["previous"]), "revision": record.revision})
