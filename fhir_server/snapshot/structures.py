"""StructureDefinitions of a library with their snapshots, made once."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from fhir_server.errors import Issue
from fhir_server.packages import Entry, Library
from fhir_server.snapshot.complete import complete
from fhir_server.snapshot.errors import SnapshotError
from fhir_server.snapshot.generate import PLACE, Made, generate
from fhir_server.snapshot.unfold import Definition

MAX_LEVELS = 50
MAX_FAULTS = 100
Kept = dict[str, Definition | SnapshotError]
_made: WeakKeyDictionary[Library, Kept] = WeakKeyDictionary()


def snapshot(definition: Mapping[str, Any], library: Library, *, source: str = "") -> list[dict[str, Any]]:
    """Return the elements of the snapshot that follows from the differential, whether there is a snapshot or not.

    Args:
        source: the package that the definition comes from: its versions of other definitions are preferred.

    Raises:
        SnapshotError: the differential cannot be applied; names the element and the profile, or what is missing.
    """
    finder = _Source(library, source, (str(definition.get("url", "")),))
    made = finder.generate(definition)
    if made.faults:
        texts = [f"{_name(definition)}: {fault}" for fault in made.faults[:MAX_FAULTS]]
        issues = [Issue(text, SnapshotError.code, expression=(PLACE,)) for text in texts]
        raise SnapshotError("; ".join(texts), issues=issues)
    with _shaped(definition):
        return list(complete(made.elements, definition, finder.type))


def structure(library: Library, canonical: str, *, source: str = "") -> Definition | None:
    """Return a StructureDefinition with a snapshot, its own or a generated one; None where nobody knows it.

    Of several versions, where none is named, it is that of the package `source`, else the latest. What a differential
    says that its base does not have or not allow is left out: whoever stores it is told, by `snapshot`.

    Raises:
        SnapshotError: it has no snapshot, and none can be made.
    """
    return _Source(library, source).base(canonical)


class _Source:
    """Finds definitions for one snapshot; `pending` are those that wait for it.

    Attributes:
        cut: profiles of types that could not be had, because they wait for this one or are faulty themselves.
    """

    def __init__(self, library: Library, source: str = "", pending: tuple[str, ...] = ()) -> None:
        self._library = library
        self._source = source
        self._pending = pending
        self.cut = False

    def type(self, canonical: str) -> Definition | None:
        """Return what an element is said to be; None where that cannot be had: then its type alone is what counts."""
        try:
            return self.base(canonical)
        except SnapshotError:
            self.cut = True
            return None

    def base(self, canonical: str) -> Definition | None:
        """Return what a profile is based on. Raises SnapshotError where it has no snapshot and none can be made."""
        entry = self._library.find("StructureDefinition", canonical, source=self._source)
        if entry is None:
            return None
        made = _made.setdefault(self._library, {})
        if (known := made.get(entry.name)) is None:
            home = _made.setdefault(self._home(canonical, entry), {})
            if (known := home.get(entry.name)) is None:
                definition = entry.parse()
                if not _has_snapshot(definition):
                    return self._generated(definition, entry, made)
                known = home[entry.name] = definition
        if isinstance(known, SnapshotError):
            raise SnapshotError(str(known), issues=known.issues)
        return known

    def _home(self, canonical: str, entry: Entry) -> Library:
        """Return the library that holds an entry itself: what needs no other definition is kept there for all above."""
        home = self._library
        while (below := home.below) is not None:
            if below.find("StructureDefinition", canonical, source=self._source) is not entry:
                break
            home = below
        return home

    def _generated(
        self, definition: Definition, entry: Entry, made: dict[str, Definition | SnapshotError]
    ) -> Definition:
        """Make a snapshot and keep it, unless it lacks what waits for it."""
        url = str(definition.get("url", ""))
        if url in self._pending:
            way = " > ".join((*self._pending[self._pending.index(url) :], url))
            raise _error(f"{url} is based on itself: {way}")
        if len(self._pending) >= MAX_LEVELS:
            raise _error(f"{url} is based on over {MAX_LEVELS} others")
        source = _Source(self._library, entry.source, (*self._pending, url))
        try:
            found = {**definition, "snapshot": {"element": source.generate(definition).elements}}
        except SnapshotError as error:
            if not self._pending:
                made[entry.name] = error
            raise
        self.cut = self.cut or source.cut
        if not self._pending or not source.cut:
            made[entry.name] = found
        return found

    def generate(self, definition: Definition) -> Made:
        """Make a snapshot. Raises SnapshotError."""
        with _shaped(definition):
            return generate(definition, self.base, self.type)


@contextmanager
def _shaped(definition: Definition) -> Iterator[None]:
    """Nobody has validated what a tenant or a package brings: say so where something is not what it should be."""
    try:
        yield
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        raise _error(f"{_name(definition)} is not shaped as a StructureDefinition is: {error}") from None


def _name(definition: Definition) -> str:
    return str(definition.get("url") or definition.get("id") or "the definition")


def _error(text: str) -> SnapshotError:
    return SnapshotError(text, expression="StructureDefinition")


def _has_snapshot(definition: Definition) -> bool:
    part = definition.get("snapshot")
    elements = part.get("element") if isinstance(part, dict) else None
    return isinstance(elements, list) and bool(elements) and all(isinstance(each, dict) for each in elements)
