"""Keyed: other UIDs, names and dates for those of a patient, always the same ones under one key and no way back."""

import hashlib
import hmac
from dataclasses import dataclass

_DICOM = "1.2.840.10008."
_MOST_DAYS = 3_650
_LEAST_DAYS = 30


@dataclass(frozen=True, slots=True)
class Key:
    """A secret key; who has it can tell whether a UID belongs to one that they know, nobody else can."""

    secret: bytes

    def uid(self, uid: str) -> str:
        """Return the UID that stands for another one; those that the standard gives stay.

        Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part05/sect_B.2.html
        """
        plain = uid.strip("\0 ")
        if not plain or plain.startswith(_DICOM):
            return plain
        raw = bytearray(self._digest("uid", plain)[:16])
        raw[6] = raw[6] & 0x0F | 0x80  # a UUID of version 8, made by a hash
        raw[8] = raw[8] & 0x3F | 0x80
        return f"2.25.{int.from_bytes(raw, 'big')}"

    def pseudonym(self, patient: str) -> str:
        """Return the identifier that stands for a patient's."""
        return f"P{self._digest('patient', patient)[:8].hex().upper()}"

    def days(self, patient: str) -> int:
        """Return by how many days the dates of a patient move; always into the past."""
        number = int.from_bytes(self._digest("days", patient)[:8], "big")
        return -(_LEAST_DAYS + number % _MOST_DAYS)

    def derived(self, purpose: str) -> "Key":
        """Return the key of a purpose: what is made for two of them cannot be joined."""
        return Key(self._digest("purpose", purpose)) if purpose else self

    def _digest(self, kind: str, value: str) -> bytes:
        return hmac.new(self.secret, f"{kind}\0{value}".encode(), hashlib.sha256).digest()
