"""The ledger: a Merkle tree over the rows of the audit, and its heads, which the server signs.

A head says how many rows there were at a time and what their tree's root was. Who keeps heads elsewhere finds every
change, removal and truncation of older rows, whoever made them. Hashes of complete subtrees of 256 rows are kept, so
that a proof reads few rows.

Spec: https://www.rfc-editor.org/rfc/rfc9162
"""

import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fhir_server.audit.merkle import Range, leaf_hash, node_hash, range_hash
from fhir_server.model.version import instant
from fhir_server.storage.audit import AuditEntry
from fhir_server.storage.base import Audit, Collection, RecordChange, RecordChanged, Records, Store

HEADS: Final = Collection("audit.heads")
TILES: Final = Collection("audit.tiles")
KEYS: Final = Collection("audit.keys")
CUTS: Final = Collection("audit.cuts")
"""Up to where rows were removed: heads of the trees over them, whose log is named `LOG cut`."""

_KEY: Final = "current"
_WIDTH: Final = 8  # levels between two that are kept
SPAN: Final = 1 << _WIDTH
SHORT: Final = 6
"""Bytes of the hash of each row that are kept: they prove nothing, but tell which row of 256 was changed."""

_AT_ONCE: Final = 200  # tiles made between two commits
_LEAVES_AT_ONCE: Final = 20


@dataclass(frozen=True, slots=True)
class Head:
    """A signed tree head. root, signature and key are base64; time is in milliseconds; log names the audit log."""

    log: str
    size: int
    root: str
    time: int
    key: str
    signature: str = ""

    def signed_text(self) -> bytes:
        """Return what is signed."""
        return f"fhir-server audit {self.log}\n{self.size}\n{self.root}\n{instant(self.time)}\n".encode()

    def good(self) -> bool:
        """Tell whether the signature is that of the key that is named."""
        try:
            key = Ed25519PublicKey.from_public_bytes(b64decode(self.key))
            key.verify(b64decode(self.signature), self.signed_text())
        except (InvalidSignature, ValueError):
            return False
        return True


def head_of(value: Any) -> Head:
    """Read a head from a record, or a line of a file. Raises msgspec.ValidationError."""
    return msgspec.convert(value, Head)


def line_of(head: Head) -> bytes:
    """Return a head as a line of a file."""
    return msgspec.json.encode(asdict(head)) + b"\n"


def leaf_of(entry: AuditEntry) -> bytes:
    """Return the bytes of a row that are hashed: all of it."""
    return msgspec.msgpack.encode((entry.seq, entry.time, entry.agent, entry.body))


class Ledger:
    """The ledger of one tenant."""

    def __init__(self, store: Store, now: Callable[[], int]) -> None:
        self._store, self._now = store, now
        self._tiles: dict[str, list[bytes]] = {}

    async def head(self) -> Head:
        """Return the head of all rows that there are, signed anew where some were added."""
        for collection in (HEADS, TILES, KEYS):
            await self._store.declare(collection)
        size = await self._store.audit.size()
        latest = await self.latest()
        if latest is not None and latest.size == size:
            return latest
        await self._make_tiles(size)
        log, key = await self._signing()
        public = key.public_key().public_bytes_raw()
        root = await self.hash_of((0, size))
        head = Head(log, size, _text(root), self._now(), _text(public))
        head = Head(log, size, head.root, head.time, head.key, _text(key.sign(head.signed_text())))
        await self._store.commit((), (RecordChange(HEADS.name, f"{size:015d}", asdict(head)),))
        return head

    async def latest(self) -> Head | None:
        """Return the newest head."""
        await self._store.declare(HEADS)
        found = await self._store.records.find(HEADS.name, order="-key", limit=1)
        return head_of(dict(found[0].value)) if found else None

    async def cut(self, size: int, audit: Audit) -> None:
        """Note that the first rows are removed, before they are; `audit` makes the row that tells of it.

        The hash of each stays (32 bytes), so that every head that counts them can still be proved.

        Args:
            size: how many, a multiple of SPAN.
        """
        await self._store.declare(CUTS)
        await self.head()  # all hashes above the rows are kept from here on
        done = await cut_size(self._store.records)
        for first in range(done // SPAN, size // SPAN, _LEAVES_AT_ONCE):
            spans = range(first, min(first + _LEAVES_AT_ONCE, size // SPAN))
            kept = {leaves_of(index): _text(b"".join(await self._leaves(index * SPAN, SPAN))) for index in spans}
            changes = [RecordChange(TILES.name, name, {"hashes": hashes}) for name, hashes in kept.items()]
            await self._store.commit((), changes)
        log, key = await self._signing()
        public = _text(key.public_key().public_bytes_raw())
        head = Head(f"{log} cut", size, _text(await self.hash_of((0, size))), self._now(), public)
        head = replace(head, signature=_text(key.sign(head.signed_text())))
        await self._store.commit((), (RecordChange(CUTS.name, f"{size:015d}", asdict(head)),), audit=audit)

    async def hash_of(self, span: Range) -> bytes:
        """Return the hash of a range of rows that a proof asks for."""
        return await range_hash(*span, self._subtree)

    async def _subtree(self, level: int, index: int) -> bytes:
        """Return the hash of a complete subtree, from what is kept of the level below or from rows."""
        kept = level - level % _WIDTH
        first, number = index << (level - kept), 1 << (level - kept)
        if kept == 0:
            hashes = await self._leaves(first, number)
        else:
            tile = await self._tile(kept, first // SPAN)
            hashes = tile[first % SPAN : first % SPAN + number]
        if len(hashes) != number:
            raise LookupError(f"rows {first << kept} to {(first + number) << kept} are not all there")
        return _folded(hashes)

    async def _leaves(self, first: int, number: int) -> list[bytes]:
        rows = await self._store.audit.span(first + 1, first + number)
        gone = number if not rows else rows[0].seq - 1 - first
        kept = await kept_leaves(self._store.records, first, gone) if gone else []
        return [*kept, *(leaf_hash(leaf_of(entry)) for entry in rows)]

    async def _tile(self, level: int, index: int) -> list[bytes]:
        name = f"{level}-{index}"
        if name not in self._tiles:
            record = await self._store.records.get(TILES.name, name)
            raw = b64decode(str(record.value["hashes"])) if record else b""
            self._tiles[name] = [raw[at : at + 32] for at in range(0, len(raw), 32)]
        return self._tiles[name]

    async def _make_tiles(self, size: int) -> None:
        """Keep the hashes of complete subtrees that have none yet."""
        changed: dict[str, RecordChange] = {}
        self._tiles.clear()  # another process may have made some
        for index in range(await self._kept(_WIDTH), size >> _WIDTH):
            leaves = await self._leaves(index << _WIDTH, SPAN)
            short = b"".join(leaf[:SHORT] for leaf in leaves)
            changed[f"0-{index}"] = RecordChange(TILES.name, f"0-{index}", {"hashes": _text(short)})
            await self._keep(_WIDTH, index, _folded(leaves), changed)
            if len(changed) >= _AT_ONCE:
                await self._store.commit((), tuple(changed.values()))
                changed.clear()
        level = 2 * _WIDTH
        while size >> level:
            for index in range(await self._kept(level), size >> level):
                await self._keep(level, index, _folded(await self._tile(level - _WIDTH, index)), changed)
            level += _WIDTH
        if changed:
            await self._store.commit((), tuple(changed.values()))

    async def _keep(self, level: int, index: int, value: bytes, changed: dict[str, RecordChange]) -> None:
        tile, name = await self._tile(level, index // SPAN), f"{level}-{index // SPAN}"
        tile[index % SPAN :] = [value]
        changed[name] = RecordChange(TILES.name, name, {"hashes": _text(b"".join(tile))})

    async def _kept(self, level: int) -> int:
        """Return how many hashes of a level are kept."""
        index = 0
        while await self._store.records.get(TILES.name, f"{level}-{index + 1}") is not None:
            index += 1
        return index * SPAN + len(await self._tile(level, index))

    async def _signing(self) -> tuple[str, Ed25519PrivateKey]:
        """Return the name of the log and its key, made by whoever comes first."""
        record = await self._store.records.get(KEYS.name, _KEY)
        if record is None:
            made = {"log": secrets.token_hex(8), "private": _text(Ed25519PrivateKey.generate().private_bytes_raw())}
            with suppress(RecordChanged):
                await self._store.commit((), (RecordChange(KEYS.name, _KEY, made, expected=0),))
            record = await self._store.records.get(KEYS.name, _KEY)
        assert record is not None
        private = Ed25519PrivateKey.from_private_bytes(b64decode(str(record.value["private"])))
        return str(record.value["log"]), private


async def cut_size(records: Records) -> int:
    """Return how many rows were removed, as the newest note says."""
    try:
        found = await records.find(CUTS.name, order="-key", limit=1)
    except KeyError:
        return 0
    return head_of(dict(found[0].value)).size if found else 0


def leaves_of(index: int) -> str:
    """Return the key of the record with the hashes of SPAN rows that were removed."""
    return f"L-{index}"


async def kept_leaves(records: Records, first: int, number: int) -> list[bytes]:
    """Return the hashes of removed rows, as far as they are kept without a gap."""
    found: list[bytes] = []
    while len(found) < number:
        at = first + len(found)
        try:
            record = await records.get(TILES.name, leaves_of(at // SPAN))
        except KeyError:
            record = None
        if record is None:
            break
        raw = b64decode(str(record.value["hashes"]))
        hashes = [raw[place : place + 32] for place in range(0, len(raw), 32)]
        found += hashes[at % SPAN : at % SPAN + number - len(found)]
    return found


def _folded(hashes: list[bytes]) -> bytes:
    while len(hashes) > 1:
        hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]


def _text(data: bytes) -> str:
    return b64encode(data).decode()
