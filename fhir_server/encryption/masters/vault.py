"""A master key in the transit engine of HashiCorp Vault; it never leaves there.

Source: https://developer.hashicorp.com/vault/api-docs/secret/transit
"""

import base64
from collections.abc import Mapping
from typing import Any, Final

import httpx

from fhir_server.encryption.faults import EncryptionFault, WrongKey
from fhir_server.encryption.masters.base import Context, bound_to

_TIMEOUT: Final = 10.0


class VaultKey:
    """A key of a transit mount: `MOUNT/KEY`; address and token are VAULT_ADDR and VAULT_TOKEN (or VAULT_TOKEN_FILE)."""

    def __init__(self, name: str, environment: Mapping[str, str], transport: httpx.BaseTransport | None = None) -> None:
        self._mount, _, self._name = name.rpartition("/")
        self._mount = self._mount or "transit"
        address = environment.get("VAULT_ADDR", "")
        if not address:
            raise EncryptionFault("VAULT_ADDR is not set, so Vault cannot be asked for the master key")
        headers = {"X-Vault-Token": _token(environment), "X-Vault-Request": "true"}
        if environment.get("VAULT_NAMESPACE"):
            headers["X-Vault-Namespace"] = environment["VAULT_NAMESPACE"]
        self._client = httpx.Client(base_url=address, headers=headers, timeout=_TIMEOUT, transport=transport)

    @property
    def id(self) -> str:
        """Mount and name of the key."""
        return f"vault:{self._mount}/{self._name}"

    def wrap(self, data: bytes, context: Context) -> bytes:
        """Have Vault encrypt it; the answer names the version of the key."""
        body = {"plaintext": _text(data), "associated_data": _text(bound_to(context))}
        return str(self._ask(f"encrypt/{self._name}", body)["ciphertext"]).encode()

    def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        """Have Vault decrypt it."""
        body = {"ciphertext": wrapped.decode(), "associated_data": _text(bound_to(context))}
        return base64.b64decode(self._ask(f"decrypt/{self._name}", body)["plaintext"])

    def rotate(self) -> None:
        """Ask Vault for a new version of the key."""
        self._ask(f"keys/{self._name}/rotate", {})

    def _ask(self, path: str, body: Mapping[str, str]) -> Any:
        try:
            answer = self._client.post(f"/v1/{self._mount}/{path}", json=body)
        except httpx.TransportError as error:
            raise EncryptionFault(f"Vault cannot be reached for the master key {self.id}: {error}") from None
        if answer.status_code == httpx.codes.BAD_REQUEST and path.startswith("decrypt/"):
            raise WrongKey(f"the key {self.id} does not open it")
        if not answer.is_success:
            raise EncryptionFault(f"Vault answered {answer.status_code} to {path} on {self._mount}")
        return answer.json().get("data") if answer.content else {}


def _token(environment: Mapping[str, str]) -> str:
    if environment.get("VAULT_TOKEN"):
        return environment["VAULT_TOKEN"]
    try:
        with open(environment["VAULT_TOKEN_FILE"]) as file:
            return file.read().strip()
    except (KeyError, OSError):
        raise EncryptionFault("neither VAULT_TOKEN nor VAULT_TOKEN_FILE gives a token for Vault") from None


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
