"""A master key in a PKCS#11 token (an HSM, or SoftHSM), named by a URI; it never leaves there.

Spec: https://www.rfc-editor.org/rfc/rfc7512
"""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from fhir_server.encryption.faults import EncryptionFault, WrongKey
from fhir_server.encryption.masters.base import Context, bound_to, library

_NONCE: Final = 12
_TAG: Final = 128


class TokenKey:
    """An AES key of a token: `pkcs11:token=T;object=KEY?module-path=LIB&pin-source=file:PATH`.

    Without `module-path` and `pin-source` the variables PKCS11_MODULE and PKCS11_PIN count.
    """

    def __init__(self, uri: str, environment: Mapping[str, str]) -> None:
        path, _, query = uri.removeprefix("pkcs11:").partition("?")
        names = dict(part.partition("=")[::2] for part in path.split(";") if part)
        self._token, self._object = (unquote(names.get(name, "")) for name in ("token", "object"))
        options = dict(parse_qsl(query))
        module = options.get("module-path") or environment.get("PKCS11_MODULE", "")
        if not (self._token and self._object and module):
            raise EncryptionFault("a PKCS#11 master key needs token, object and module-path in its URI")
        self._pkcs11 = library("pkcs11", "pkcs11")
        self._mechanisms = library("pkcs11.mechanisms", "pkcs11")
        self._failures: type[Exception] = library("pkcs11.exceptions", "pkcs11").PKCS11Error
        self._module, self._pin = module, _pin(options.get("pin-source", ""), environment)
        self._lock = threading.Lock()  # a token lets one login in at a time

    @property
    def id(self) -> str:
        """Token and object."""
        return f"pkcs11:{self._token}/{self._object}"

    def wrap(self, data: bytes, context: Context) -> bytes:
        """Have the token encrypt it (AES-GCM)."""
        nonce = os.urandom(_NONCE)
        with self._opened() as key:
            return nonce + bytes(key.encrypt(data, **self._way(nonce, context)))

    def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        """Have the token decrypt it."""
        with self._opened() as key:
            try:
                return bytes(key.decrypt(wrapped[_NONCE:], **self._way(wrapped[:_NONCE], context)))
            except self._failures:
                raise WrongKey(f"the key {self.id} does not open it") from None

    def rotate(self) -> None:
        """Refuse: objects of a token are made with the tools of its maker."""
        raise EncryptionFault(
            "make a new object in the token, then run `fhir-server keys rotate --to 'pkcs11:...;object=NEW'`"
        )

    def _way(self, nonce: bytes, context: Context) -> dict[str, Any]:
        parameters = self._mechanisms.GCMParams(nonce, bound_to(context), _TAG)
        return {"mechanism": self._mechanisms.Mechanism.AES_GCM, "mechanism_param": parameters}

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        with self._lock:
            try:
                token = self._pkcs11.lib(self._module).get_token(token_label=self._token)
                with token.open(user_pin=self._pin) as session:
                    yield session.get_key(label=self._object, object_class=self._pkcs11.ObjectClass.SECRET_KEY)
            except self._failures as error:
                raise EncryptionFault(f"the PKCS#11 token refused {self.id}: {type(error).__name__} {error}") from None
            except RuntimeError as error:
                raise EncryptionFault(f"the PKCS#11 library {self._module} cannot be loaded: {error}") from None


def _pin(source: str, environment: Mapping[str, str]) -> str:
    if not source:
        return environment.get("PKCS11_PIN", "")
    try:
        return Path(source.removeprefix("file:")).read_text().strip()
    except OSError as error:
        raise EncryptionFault(f"the PIN of the PKCS#11 token cannot be read: {error}") from None
