"""StructureDefinitions of a library with their snapshots, made once."""

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from fhir_server.packages import Library
from fhir_server.snapshot.complete import complete
from fhir_server.snapshot.errors import SnapshotError
from fhir_server.snapshot.generate import generate
from fhir_server.snapshot.unfold import Definition

MAX_LEVELS = 50
_made: WeakKeyDictionary[Library, dict[str, Definition | SnapshotError]] = WeakKeyDictionary()


def snapshot(definition: Mapping[str, Any], library: Library) -> list[dict[str, Any]]:
    """Return the elements of the snapshot that follows from the differential, whether there is a snapshot or not.

    Raises:
        SnapshotError: the differential cannot be applied; names the element and the profile, or what is missing.
    """
    source = _Source(library, (str(definition.get("url", "")),))
    return list(complete(source.generate(definition), definition, source.find))


def structure(library: Library, canonical: str) -> Definition | None:
    """Return a StructureDefinition with a snapshot, its own or a generated one; None where nobody knows it.

    Raises:
        SnapshotError: it has no snapshot, and none can be made.
    """
    return _Source(library).find(canonical)


class _Source:
    """Finds definitions for one snapshot; `pending` are those that wait for it."""

    def __init__(self, library: Library, pending: tuple[str, ...] = ()) -> None:
        self._library = library
        self._pending = pending

    def find(self, canonical: str) -> Definition | None:
        entry = self._library.find("StructureDefinition", canonical)
        if entry is None:
            return None
        home = self._library
        while home.below is not None and home.below.find("StructureDefinition", canonical) is entry:
            home = home.below
        own = _made.setdefault(home, {})
        if entry.name in own:
            return _known(own[entry.name])
        made = _made.setdefault(self._library, {})
        if entry.name in made:
            return _known(made[entry.name])
        definition = entry.parse()
        if _has_snapshot(definition):
            own[entry.name] = definition
            return definition
        return self._generated(definition, entry.name, made)

    def _generated(self, definition: Definition, name: str, made: dict[str, Definition | SnapshotError]) -> Definition:
        url = str(definition.get("url", ""))
        if url in self._pending:
            way = " > ".join((*self._pending[self._pending.index(url) :], url))
            raise SnapshotError(f"{url} is based on itself: {way}", expression="StructureDefinition.baseDefinition")
        if len(self._pending) >= MAX_LEVELS:
            raise SnapshotError(f"{url} is based on over {MAX_LEVELS} others", expression="StructureDefinition")
        try:
            elements = _Source(self._library, (*self._pending, url)).generate(definition)
        except SnapshotError as error:
            if not self._pending:
                made[name] = error
            raise
        made[name] = {**definition, "snapshot": {"element": elements}}
        return _known(made[name])

    def generate(self, definition: Definition) -> list[dict[str, Any]]:
        try:
            return generate(definition, self.find)
        except (TypeError, AttributeError, KeyError, ValueError) as error:
            # Nobody has validated what a tenant or a package brings.
            name = str(definition.get("url") or definition.get("id") or "the definition")
            raise SnapshotError(f"{name} is not shaped as a StructureDefinition is: {error}") from None


def _has_snapshot(definition: Definition) -> bool:
    part = definition.get("snapshot")
    elements = part.get("element") if isinstance(part, dict) else None
    return isinstance(elements, list) and bool(elements) and all(isinstance(each, dict) for each in elements)


def _known(found: Definition | SnapshotError) -> Definition:
    if isinstance(found, SnapshotError):
        raise SnapshotError(str(found), issues=found.issues)
    return found
