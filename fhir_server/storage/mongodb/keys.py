"""The values that equality searches look up, as 64-bit hashes under the secret of the store.

One array of them on each version serves tokens, references, URIs and presence with a single index. Phone numbers and
identifiers are guessable, so the hash is keyed. What is found is compared with the entries themselves afterwards.
"""

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from fhir_server.search.entries import IndexEntries
from fhir_server.search.parameters_links import is_internal

_SEPARATOR: Final = "\x1f"


class Keys:
    """Makes the keys of one store."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._hash = lru_cache(65_536)(self._hashed)

    def _hashed(self, text: str) -> int:
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, key=self._secret).digest()
        return int.from_bytes(digest, "big", signed=True)

    def _of(self, *parts: str) -> int:
        return self._hash(_SEPARATOR.join(parts))

    def full(self, param: str, system: str, code: str) -> int:
        """Return the key of `system|code`; system "" for `|code`."""
        return self._of("t", param, system, code)

    def code(self, param: str, code: str) -> int:
        """Return the key of a code in any system."""
        return self._of("c", param, code)

    def system(self, param: str, system: str) -> int:
        """Return the key of any code in a system; "" for codes without one."""
        return self._of("s", param, system)

    def reference(self, param: str, type_: str, id_: str) -> int:
        """Return the key of a reference to a resource of this server; param "" for any parameter."""
        return self._of("r", param, type_, id_)

    def local(self, param: str, id_: str) -> int:
        """Return the key of a reference to an id of any type."""
        return self._of("l", param, id_)

    def url(self, param: str, url: str) -> int:
        """Return the key of an absolute, canonical or logical reference, or of a URI."""
        return self._of("u", param, url)

    def present(self, param: str) -> int:
        """Return the key of a parameter that has a value."""
        return self._of("p", param)

    def of(self, entries: IndexEntries) -> list[int]:
        """Return all keys of one resource, sorted."""
        return sorted(set(self._all(entries)))

    def _all(self, entries: IndexEntries) -> Iterable[int]:
        for param, system, code in entries.tokens:
            yield from (self.full(param, system or "", code), self.code(param, code), self.system(param, system or ""))
        for param, uri in entries.uris:
            yield self.url(param, uri)
        yield from self._references(entries)
        for param in entries.present():
            yield from {self.present(param), self.present(param.partition(":")[0])}
        for _, _, inner in entries.contained:
            yield from self._named_within(inner)

    def _references(self, entries: IndexEntries) -> Iterable[int]:
        for param, type_, id_, url, _ in entries.references:
            if url is not None:
                yield self.url(param, url)
            if type_ is None or id_ is None:
                continue
            yield self.reference(param, type_, id_)
            if type_ != "#":
                yield self.local(param, id_)
                if not is_internal(param):
                    yield self.reference("", type_, id_)

    def _named_within(self, inner: IndexEntries) -> Iterable[int]:
        """What a contained resource refers to counts for deletes alone."""
        for _, type_, id_, _, _ in inner.references:
            if type_ not in (None, "#") and id_ is not None and type_ is not None:
                yield self.named(type_, id_)

    def named(self, type_: str, id_: str) -> int:
        """Return the key of a reference that a contained resource has."""
        return self._of("n", type_, id_)
