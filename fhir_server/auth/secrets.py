"""Random handles and their digests: what is stored cannot be used by who reads the store."""

import hashlib
import hmac
import secrets

_BYTES = 32


def new_handle() -> str:
    """Return 256 random bits as text that may stand in a URL: a token, a code, a cookie."""
    return secrets.token_urlsafe(_BYTES)


def digest(handle: str) -> str:
    """Return the key under which a handle is stored. Handles are random, so a plain hash tells nothing."""
    return hashlib.sha256(handle.encode()).hexdigest()


def same(one: str, other: str) -> bool:
    """Compare secrets in a time that says nothing about them."""
    return hmac.compare_digest(one.encode(), other.encode())
