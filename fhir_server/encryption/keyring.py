"""`keys.json` of one tenant: its data keys, each wrapped twice, and which of them the record is under.

A data key never stands anywhere unwrapped. One wrapping is by the master key, for every start; the other by the
recovery key, for the day on which the master key is lost.
"""

import base64
import json
import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from fhir_server.encryption import files
from fhir_server.encryption.faults import EncryptionFault
from fhir_server.encryption.masters.base import MasterKey
from fhir_server.encryption.primitives import KEY_SIZE
from fhir_server.encryption.recovery import PublicRecoveryKey, RecoveryKey

FILE: Final = "keys.json"
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A data key as it stands in the file."""

    made: str
    master: str
    wrapped: bytes = field(repr=False)
    recovery: str
    escrowed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys of a tenant.

    Args:
        tenant: the name that everything sealed is bound to; a folder may be renamed, this is not.
        current: the key of what is written from now on.
        record: the key that the record's file is under; empty while the file is plain.
        rewriting: the key of a copy of the record that is about to take its place; empty otherwise.
    """

    tenant: str
    current: str
    record: str
    rewriting: str
    keys: Mapping[str, WrappedKey]

    def save(self, folder: Path) -> None:
        """Write it durably in the place of the one before."""
        value = {"format": _FORMAT, **asdict(replace(self, keys={}))}
        value["keys"] = {name: _shown(key) for name, key in self.keys.items()}
        files.replace(folder / FILE, json.dumps(value, indent=1).encode())

    def unwrap(self, name: str, master: MasterKey) -> bytes:
        """Return a data key. Raises EncryptionFault, which names the tenant and both keys."""
        key = self.keys[name]
        try:
            return master.unwrap(key.wrapped, context(self.tenant, name))
        except EncryptionFault as error:
            raise type(error)(
                f"key {name} of tenant {self.tenant} was wrapped by {key.master} and does not open with {master.id}: "
                f"{error}; set encryption_key to the right master key, or use `fhir-server keys recover`"
            ) from None

    def added(self, data: bytes, wrap: "Wrap") -> "Keyring":
        """Return it with another key, which is current."""
        name = secrets.token_hex(8)
        return replace(self, current=name, keys={**self.keys, name: wrap(data, self.tenant, name)})

    def rewrapped(self, unwrap: Callable[[str], bytes], wrap: "Wrap") -> "Keyring":
        """Return it with every key wrapped anew."""
        keys = {name: replace(wrap(unwrap(name), self.tenant, name), made=key.made) for name, key in self.keys.items()}
        return replace(self, keys=keys)

    def only(self, *names: str) -> "Keyring":
        """Return it without the other keys: what they sealed is beyond recovery then."""
        return replace(self, keys={name: key for name, key in self.keys.items() if name in names})

    def recovered(self, name: str, key: RecoveryKey) -> bytes:
        """Return a data key by the recovery key. Raises WrongKey."""
        return key.unwrap(self.keys[name].escrowed, _text(self.tenant, name))


@dataclass(frozen=True, slots=True)
class Wrap:
    """Wraps data keys by a master key and a recovery key."""

    master: MasterKey
    recovery: PublicRecoveryKey

    def __call__(self, data: bytes, tenant: str, name: str) -> WrappedKey:
        """Return the key as it is to stand in the file."""
        wrapped = self.master.wrap(data, context(tenant, name))
        escrowed = self.recovery.wrap(data, _text(tenant, name))
        return WrappedKey(_now(), self.master.id, wrapped, self.recovery.id, escrowed)


def new_keyring(tenant: str, wrap: Wrap, *, plain: bool = False) -> Keyring:
    """Return a keyring with one key; `plain` where the record still is."""
    keyring = Keyring(tenant, "", "", "", {}).added(os.urandom(KEY_SIZE), wrap)
    return keyring if plain else replace(keyring, record=keyring.current)


def read_keyring(folder: Path) -> Keyring | None:
    """Return the keyring in a tenant's folder, None where there is none. Raises EncryptionFault."""
    try:
        value: dict[str, Any] = json.loads((folder / FILE).read_bytes())
        if value.pop("format") != _FORMAT:
            raise EncryptionFault(f"{folder / FILE} was written by another release")
        keys = {name: _hidden(key) for name, key in value.pop("keys").items()}
        keyring = Keyring(**value, keys=keys)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EncryptionFault(f"{folder / FILE} cannot be read: {error!r}") from None
    missing = {keyring.current, keyring.record, keyring.rewriting} - keys.keys() - {""}
    if missing:
        raise EncryptionFault(f"{folder / FILE} lacks key {', '.join(sorted(missing))}, which it names")
    return keyring


def context(tenant: str, name: str) -> Mapping[str, str]:
    """Return what the wrapping of a data key is bound to."""
    return {"tenant": tenant, "key": name}


def _text(tenant: str, name: str) -> str:
    return json.dumps([tenant, name])


def _shown(key: WrappedKey) -> dict[str, str]:
    return {
        "made": key.made,
        "master": key.master,
        "wrapped": base64.b64encode(key.wrapped).decode(),
        "recovery": key.recovery,
        "escrowed": base64.b64encode(key.escrowed).decode(),
    }


def _hidden(value: Mapping[str, str]) -> WrappedKey:
    wrapped, escrowed = (base64.b64decode(value[name]) for name in ("wrapped", "escrowed"))
    return WrappedKey(value["made"], value["master"], wrapped, value["recovery"], escrowed)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
