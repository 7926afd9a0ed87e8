"""Large expansions on disk, so that a restart or another worker need not make them again.

A file names all that the expansion rests on, each with a digest; where one of them has changed, the file is no use.
"""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from fhir_server.model.json import encode
from fhir_server.terminology.code_system import Header
from fhir_server.terminology.composition import Composition
from fhir_server.terminology.expansion import Item
from fhir_server.terminology.expansion_cache import Expanded

if TYPE_CHECKING:
    from fhir_server.terminology.scope import Scope

_FORMAT = 1
_MOST_FILES = 200


class _Row(msgspec.Struct, array_like=True):
    """One code: the place of its system in the list, the code, and the concept as the value set lists it."""

    system: int
    code: str
    listed: dict[str, Any] | None = None


class _Kept(msgspec.Struct):
    """One file."""

    format: int
    rests_on: list[tuple[str, str, str, str]]
    systems: list[tuple[str, str]]
    rows: list[_Row]
    seen: list[tuple[str, str, str]]
    versioned: list[str]
    applied: list[tuple[str, str]]
    supplements: list[str]
    merged: bool


_decoder = msgspec.msgpack.Decoder(_Kept)
_encoder = msgspec.msgpack.Encoder()


class KeptExpansions:
    """A folder of expansions.

    Args:
        folder: is made when there is something to keep, if the folder above is there.
        least: codes that make an expansion worth a file.
    """

    def __init__(self, folder: Path, least: int = 2_000) -> None:
        self._folder = folder
        self.least = least

    def load(self, key: Hashable, composition: Composition, scope: "Scope") -> Expanded | None:
        """Return an expansion; None where it is not kept, or not true any more."""
        try:
            kept = _decoder.decode(self._path(key, composition).read_bytes())
        except (OSError, msgspec.MsgspecError):
            return None
        if kept.format != _FORMAT or any(_digest(scope, *where) != digest for *where, digest in kept.rests_on):
            return None
        systems = [scope.exact(url, version) for url, version in kept.systems]
        items = [Item(*kept.systems[row.system], row.code, systems[row.system], row.listed) for row in kept.rows]
        scope.applied.update(dict.fromkeys(kept.applied))
        seen: dict[tuple[str, str], tuple[Header | Composition, Composition]] = {}
        for type_, name, source in kept.seen:
            met, by = _met(scope, type_, name), composition if source == composition.name else scope.value_set(source)
            if met is None or by is None:
                return None
            seen[(type_, name)] = met, by
        versioned = frozenset(kept.versioned)
        return Expanded(items, len(items), seen, versioned, kept.applied, kept.supplements, kept.merged)

    def keep(self, key: Hashable, composition: Composition, scope: "Scope", found: Expanded) -> None:
        """Write an expansion, if it is large and all that it rests on can be told by a digest."""
        if found.items is None or len(found.items) < self.least or not self._folder.parent.is_dir():
            return
        asked = [*(("ValueSet", canonical, "") for canonical in scope.sets)]
        asked += [("CodeSystem", url, version) for url, version in scope.systems]
        asked += [("supplement", canonical, "") for canonical in found.supplements]
        rests_on = [(*where, _digest(scope, *where)) for where in asked]
        if all(digest for *_, digest in rests_on):
            self._write(self._path(key, composition), _kept(found, rests_on))

    def _write(self, path: Path, kept: _Kept) -> None:
        # What cannot be written is made anew the next time: a full disk must not stop an answer.
        with contextlib.suppress(OSError):
            self._folder.mkdir(exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._folder)
            with os.fdopen(handle, "wb") as file:
                file.write(_encoder.encode(kept))
            os.replace(name, path)
            files = sorted(self._folder.glob("*.expansion"), key=lambda each: each.stat().st_mtime)
            for old in files[:-_MOST_FILES]:
                old.unlink(missing_ok=True)

    def _path(self, key: Hashable, composition: Composition) -> Path:
        digest = hashlib.sha256(repr(key).encode() + encode(composition.resource))
        return self._folder / f"{digest.hexdigest()}.expansion"


def _kept(found: Expanded, rests_on: list[tuple[str, str, str, str]]) -> _Kept:
    places: dict[tuple[str, str], int] = {}
    rows = [
        _Row(
            places.setdefault((item.url, item.version), len(places)),
            item.code or "",
            dict(item.listed) if item.listed is not None else None,
        )
        for item in found.items or ()
    ]
    seen = [(type_, name, source.name) for (type_, name), (_, source) in found.seen.items()]
    return _Kept(
        _FORMAT,
        rests_on,
        list(places),
        rows,
        seen,
        sorted(found.versioned),
        list(found.applied),
        list(found.supplements),
        found.merged,
    )


def _met(scope: "Scope", type_: str, name: str) -> Header | Composition | None:
    if type_ == "ValueSet":
        return scope.value_set(name)
    url, _, version = name.partition("|")
    system = scope.exact(url, version)
    return None if system is None else system.header


def _digest(scope: "Scope", type_: str, canonical: str, version: str) -> str:
    """Return what changes when a resource does; empty where nothing tells."""
    sources = scope.sources
    if type_ == "ValueSet":
        composition = sources.value_set(canonical)
        return "" if composition is None else hashlib.sha256(encode(composition.resource)).hexdigest()
    system = sources.supplement(canonical) if type_ == "supplement" else sources.system(canonical, version)
    return str(getattr(system, "stamp", ""))
