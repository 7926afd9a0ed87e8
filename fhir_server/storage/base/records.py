"""Records: small JSON values in namespaced collections, written with the same commits as resources."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class RecordField:
    """A field of a collection that can be searched and, where no record has several values, sorted by.

    A list in a record is several values of the field.
    """

    name: str
    kind: Literal["text", "integer", "real"] = "text"
    unique: bool = False


@dataclass(frozen=True, slots=True)
class Collection:
    """A namespaced collection of records (`auth.tokens`, `jobs`, `feed.cursors`).

    `patient` names the field that links a record to a Patient id, for export and erase.
    """

    name: str
    fields: tuple[RecordField, ...] = ()
    patient: str | None = None
    version: int = 1


HOLDS = Collection("holds", (RecordField("txid", "integer"), RecordField("until", "integer")))
"""Instants that are read for longer than a page link lives (an export): the index of each stays until a time."""


@dataclass(frozen=True, slots=True)
class RecordChange:
    """Put (value) or delete (None) one record; `expected` is the record's current revision (0: must not exist), else
    the commit raises `RecordChanged`."""

    collection: str
    key: str
    value: Mapping[str, object] | None
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A record as read: its JSON value and revision (1 on the first write)."""

    key: str
    value: Mapping[str, object]
    revision: int


@dataclass(frozen=True, slots=True)
class Where:
    """One condition on a record's declared field, or on `key`. Of a field with several values one has to fulfil it."""

    field: str
    op: Literal["=", "<", "<=", ">", ">=", "in", "prefix"]
    value: object


class Records(Protocol):
    """Reading of records; writing goes through `Store.commit`."""

    async def get(self, collection: str, key: str) -> Record | None:
        """Return one record."""

    async def find(
        self,
        collection: str,
        where: Sequence[Where] = (),
        *,
        order: str = "key",
        after: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[Record]:
        """Return records in the order of a declared field (or key), `-field` for descending.

        `after` is the last key seen (only with order "key"); `offset` leaves out as many of the first.
        """

    async def collections(self) -> list[Collection]:
        """Return the collections that were ever declared, sorted by name."""
