"""Marks: records that a change of definitions writes anew, by which other workers notice that they must read again."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from fhir_server.packages import CANONICAL_TYPES
from fhir_server.storage.base import Collection, Record, RecordChange, Store

STATE: Final = Collection("server.state")
DEFINITIONS: Final = "definitions"
TERMS: Final = "terminology"
PACKAGES: Final = "packages"

_MARKED: Final[Mapping[str, Sequence[str]]] = {DEFINITIONS: ("SearchParameter",), TERMS: CANONICAL_TYPES}
"""The record that a commit changes, and the types that make it do so."""


def marks_of(types: Iterable[str]) -> list[RecordChange]:
    """Return what a commit that writes resources of these types changes beside them."""
    written = set(types)
    return [mark(name) for name, marking in _MARKED.items() if not written.isdisjoint(marking)]


def mark(name: str) -> RecordChange:
    """Return the change of one of them."""
    return RecordChange(STATE.name, name, {"token": secrets.token_hex(8)})


async def read_mark(store: Store, name: str) -> Record | None:
    """Return one as it is; None: it was never changed."""
    return await store.records.get(STATE.name, name)


def is_of(record: Record | None, change: RecordChange) -> bool:
    """Tell whether one is as a change has left it."""
    return record is not None and change.value is not None and record.value["token"] == change.value["token"]


def token(record: Record | None) -> str:
    """Return what is another text after each change."""
    return "" if record is None else str(record.value["token"])
