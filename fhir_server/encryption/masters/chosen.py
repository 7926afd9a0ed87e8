"""Which master key the setting `encryption_key` means."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from fhir_server.encryption.faults import EncryptionFault
from fhir_server.encryption.masters.aws_kms import KmsKey
from fhir_server.encryption.masters.base import MasterKey
from fhir_server.encryption.masters.local import EnvironmentKey, FileKey
from fhir_server.encryption.masters.pkcs11 import TokenKey
from fhir_server.encryption.masters.vault import VaultKey
from fhir_server.settings import Settings

_KINDS: Final[Mapping[str, Callable[[str, Mapping[str, str]], MasterKey]]] = {
    "file": lambda rest, environment: FileKey(Path(rest)),
    "env": EnvironmentKey,
    "aws-kms": lambda rest, environment: KmsKey(rest),
    "vault": VaultKey,
    "pkcs11": TokenKey,
}


def encrypted(settings: Settings) -> bool:
    """Tell whether stores are to be encrypted."""
    return settings.encryption == "on" or (settings.encryption == "auto" and settings.encryption_key != "")


def name_of(settings: Settings) -> str:
    """Return the setting, or the file beside the data folder that is meant where it is empty."""
    if settings.encryption_key:
        return settings.encryption_key
    folder = settings.data_dir.absolute()
    return f"file:{folder.with_name(folder.name + '.master.key')}"


def master_key(name: str, environment: Mapping[str, str] | None = None) -> MasterKey:
    """Return the master key of that name. Raises EncryptionFault: it cannot be used, and why."""
    kind, _, rest = name.partition(":")
    if kind not in _KINDS or not rest:
        kinds = ", ".join(f"{kind}:..." for kind in _KINDS)
        raise EncryptionFault(f"encryption_key is {name!r}, but must be one of {kinds} (docs/encryption.md)")
    return _KINDS[kind](rest, os.environ if environment is None else environment)  # secrets of services stand there


def made_or_found(name: str) -> MasterKey:
    """Like `master_key`, but make the file where that is what is missing."""
    kind, _, rest = name.partition(":")
    if kind == "file" and rest and not Path(rest).exists():
        return FileKey.make(Path(rest))
    return master_key(name)
