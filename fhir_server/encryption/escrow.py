"""`<data folder>/keys.json`: which recovery key this server wraps for, and whether somebody proved to hold it."""

import base64
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from fhir_server.encryption import files
from fhir_server.encryption.faults import EncryptionFault, WrongKey
from fhir_server.encryption.recovery import PublicRecoveryKey, RecoveryKey

FILE: Final = "keys.json"
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Escrow:
    """The recovery key of a data folder."""

    recovery: PublicRecoveryKey
    confirmed: bool = False

    def confirmed_by(self, key: RecoveryKey) -> "Escrow":
        """Return it as confirmed by who holds the private half. Raises WrongKey."""
        if key.public != self.recovery:
            raise WrongKey(f"this is recovery key {key.public.id}; the folder's is {self.recovery.id}")
        return replace(self, confirmed=True)

    def save(self, data_dir: Path) -> None:
        """Write it durably."""
        value = {
            "format": _FORMAT,
            "recovery": {"id": self.recovery.id, "public": base64.b64encode(self.recovery.data).decode()},
            "confirmed": self.confirmed,
        }
        files.replace(data_dir / FILE, json.dumps(value, indent=1).encode())


def read_escrow(data_dir: Path) -> Escrow | None:
    """Return the escrow of a data folder, None where `keys init` never ran. Raises EncryptionFault."""
    try:
        value = json.loads((data_dir / FILE).read_bytes())
        key = PublicRecoveryKey(base64.b64decode(value["recovery"]["public"]))
        return Escrow(key, value["confirmed"] is True)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EncryptionFault(f"{data_dir / FILE} cannot be read: {error}") from None


def need_escrow(data_dir: Path) -> Escrow:
    """Return the escrow, which must be confirmed. Raises EncryptionFault."""
    escrow = read_escrow(data_dir)
    if escrow is None:
        raise EncryptionFault(
            "encryption needs a recovery key first: run `fhir-server keys init --recovery-file FILE`, keep the file "
            "away from this machine, then run `fhir-server keys confirm`"
        )
    if not escrow.confirmed:
        raise EncryptionFault(
            f"recovery key {escrow.recovery.id} is not confirmed yet: run `fhir-server keys confirm "
            "--recovery-file FILE` with the file that `keys init` wrote"
        )
    return escrow
