"""Keyed blind index of what names a person: identifiers, telephone numbers and the like stand in it under AES-SIV.

The same value always gives the same token (its head is a keyed hash of it, 128 bits of CMAC), so it is found by one
look-up, and no collision is to be feared that would need a second look at the body. The key stands with those of
patients, apart from the store: whoever has the record and its data keys alone can neither read nor guess what is
there. With the key a token opens again, for `_sort`. It is of the value alone, as a search may leave the system out.

Spec: https://www.rfc-editor.org/rfc/rfc5297
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from fhir_server.encryption.primitives import derive

_CODES: Final = frozenset(("identifier", "identifier:of-type", "phone", "email", "telecom", "device-name"))
_LOGICAL: Final = ":identifier"
_MARK: Final = "~"


def is_personal(code: str) -> bool:
    """Tell whether the tokens under a search parameter name a person or what a person owns; others are codes."""
    return code in _CODES or code.endswith(_LOGICAL)


def is_hidden(text: str | None) -> bool:
    """Tell whether a text looks like what the index holds for a value."""
    return text is not None and text.startswith(_MARK)


class Blind:
    """Hides values and shows them again."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESSIV(derive(key, "blind index, hash") + derive(key, "blind index, text"))

    def hide(self, value: str) -> str:
        """Return what stands in the index for a value; the empty one, which says that there is none, as it is."""
        return _MARK + urlsafe_b64encode(self._cipher.encrypt(value.encode(), None)).decode() if value else value

    def show(self, text: str | None) -> str | None:
        """Return the value that stands there; one that was never hidden as it is."""
        if not text or text[0] != _MARK:
            return text
        try:
            return self._cipher.decrypt(urlsafe_b64decode(text[1:]), None).decode()
        except (InvalidTag, ValueError):
            return text
