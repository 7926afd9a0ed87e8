"""Page links: a cursor as an opaque token that belongs to one query and cannot be forged.

Spec: https://hl7.org/fhir/R4/http.html#paging
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import blake2b, sha256

import msgspec

from fhir_server.errors import BadValue
from fhir_server.search.query import Cursor

_SIGNATURE = 16
_MOST = 8_192


@dataclass(frozen=True, slots=True)
class PageLink:
    """What a token says: where the page before ended, of which query, and the `now` (milliseconds) of page one.

    The parser gets that `now` again, so that `ap` means the same on every page.
    """

    cursor: Cursor
    query: str
    now: int

    def cursor_of(self, query: str) -> Cursor:
        """Return the cursor. Raises BadValue if the link was made for another query."""
        if not hmac.compare_digest(self.query.encode(), query.encode()):
            raise _bad("it belongs to another search")
        return self.cursor


def query_hash(*parts: object) -> str:
    """Return a short hash of what makes up a query."""
    return blake2b(repr(parts).encode(), digest_size=12).hexdigest()


def encode_link(link: PageLink, secret: bytes) -> str:
    """Return a token for `_page`, safe in a URL."""
    cursor = link.cursor
    payload = msgspec.msgpack.encode((cursor.txid, cursor.values, cursor.pid, link.query, link.now))
    return urlsafe_b64encode(_sign(payload, secret) + payload).rstrip(b"=").decode()


def decode_link(token: str, secret: bytes) -> PageLink:
    """Read a token.

    Raises:
        BadValue: it was not made by this server, or was changed.
    """
    try:
        raw = urlsafe_b64decode(token[:_MOST].encode("ascii") + b"=" * (-len(token[:_MOST]) % 4))
    except ValueError:
        raise _bad("it is not a page link") from None
    signature, payload = raw[:_SIGNATURE], raw[_SIGNATURE:]
    # urlsafe_b64decode skips foreign characters and unused bits: only the one spelling that was given out counts.
    plain = urlsafe_b64encode(raw).rstrip(b"=").decode() == token
    if not plain or not hmac.compare_digest(signature, _sign(payload, secret)):
        raise _bad("it is not a page link of this server")
    txid, values, pid, query, now = msgspec.msgpack.decode(payload, type=_Payload)
    return PageLink(Cursor(txid, values, pid), query, now)


_Payload = tuple[int, tuple[str | float | int | None, ...], int, str, int]


def _sign(payload: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, b"fhir page link 1\0" + payload, sha256)[:_SIGNATURE]


def _bad(reason: str) -> BadValue:
    return BadValue(f"bad value for _page: {reason}", expression="http._page")
