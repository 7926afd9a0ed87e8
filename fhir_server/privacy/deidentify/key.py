"""What is derived from the secret: pseudonyms, shifts of dates, noise; the same for the same input, each time."""

import hmac
from base64 import b64encode
from hashlib import sha256
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESSIV

_UNIT: Final = 1 << 64


class Key:
    """The secret of one project: what two projects derive from one secret cannot be linked."""

    def __init__(self, secret: bytes, project: str = "") -> None:
        self._secret = hmac.digest(secret, b"project|" + project.encode(), "sha256")

    def pseudonym(self, text: str) -> str:
        """Return what stands for an id: a UUID, so that `urn:uuid:` and `Type/id` stay the same resource."""
        return str(UUID(bytes=self._digest("id", text)[:16], version=4))

    def hashed(self, text: str) -> str:
        """Return what stands for a value, as hexadecimal digits."""
        return self._digest("value", text).hex()

    def shift(self, patient: str, days: int) -> int:
        """Return by how many days the dates of a patient move: from -days to days, never 0."""
        steps = int.from_bytes(self._digest("shift", patient)[:8]) % (2 * days)
        return steps - days if steps < days else steps - days + 1

    def noise(self, text: str) -> float:
        """Return a number from -1 to 1."""
        return int.from_bytes(self._digest("noise", text)[:8]) / _UNIT * 2 - 1

    def encrypted(self, text: str) -> str:
        """Return the text under AES-SIV, which the secret and the project decrypt. Spec: RFC 5297"""
        cipher = AESSIV(self._digest("encrypt", "0") + self._digest("encrypt", "1"))
        return b64encode(cipher.encrypt(text.encode(), None)).decode() if text else ""

    def _digest(self, use: str, text: str) -> bytes:
        return hmac.new(self._secret, f"{use}|{text}".encode(), sha256).digest()
