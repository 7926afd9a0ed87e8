"""OpenID providers that users may sign in with, from a TOML file.

[[provider]]
id = "hospital"                      # part of the address that the provider sends users back to
name = "Hospital account"            # on the button
issuer = "https://login.example/realms/hospital"
client_id = "fhir-server"
client_secret_file = "/run/secrets/hospital"
roles = {physicians = "clinician"}   # values of `role_claim` and the roles that they give
role_claim = "groups"
provision = false                    # whether users who are not known here are made
"""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import msgspec

_ID = re.compile(r"[a-z0-9\-]{1,40}", re.ASCII)


class BadProviders(Exception):
    """A providers file that cannot be used; the message says where."""


class Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One provider. `subject_claim`: a claim with who the user is in the record, as `Practitioner/1`.
    parameters: what the provider wants to be asked besides."""

    id: str
    name: str
    issuer: str
    client_id: str
    client_secret_file: str = ""
    scope: str = "openid profile email"
    roles: dict[str, str] = {}
    role_claim: str = ""
    subject_claim: str = ""
    name_claim: str = "preferred_username"
    provision: bool = False
    parameters: dict[str, str] = {}

    @property
    def client_secret(self) -> str | None:
        """The secret, read when it is used."""
        return Path(self.client_secret_file).read_text().strip() if self.client_secret_file else None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    provider: list[Provider] = []


@cache
def providers_of(path: Path | None) -> Mapping[str, Provider]:
    """Return the providers by id. Raises BadProviders."""
    if path is None:
        return {}
    try:
        found = msgspec.convert(tomllib.loads(path.read_text()), _File).provider
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadProviders(f"{path}: {error}") from None
    for provider in found:
        if not _ID.fullmatch(provider.id) or not provider.issuer.startswith(("https://", "http://")):
            raise BadProviders(f"{path}: provider {provider.id!r}: its id or issuer cannot be")
    return {provider.id: provider for provider in found}
