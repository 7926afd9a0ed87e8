"""A master key in AWS KMS; it never leaves there. Region and credentials are those of boto3.

Source: https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html
"""

from typing import Any

from fhir_server.encryption.faults import EncryptionFault, WrongKey
from fhir_server.encryption.masters.base import Context, library


class KmsKey:
    """A symmetric key of KMS, by its id, ARN or `alias/NAME`; the context is KMS's encryption context."""

    def __init__(self, key: str) -> None:
        self._key = key
        boto3 = library("boto3", "kms")
        exceptions = library("botocore.exceptions", "kms")
        self._failures: tuple[type[Exception], ...] = (exceptions.ClientError, exceptions.BotoCoreError)
        try:
            self._client: Any = boto3.client("kms", region_name=_region(key))
        except self._failures as error:
            raise EncryptionFault(f"AWS KMS cannot be asked: {error}") from None

    @property
    def id(self) -> str:
        """The name of the key in KMS."""
        return f"aws-kms:{self._key}"

    def wrap(self, data: bytes, context: Context) -> bytes:
        """Have KMS encrypt it."""
        answer = self._ask("encrypt", KeyId=self._key, Plaintext=data, EncryptionContext=dict(context))
        return bytes(answer["CiphertextBlob"])

    def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        """Have KMS decrypt it; KMS finds the generation of the key itself."""
        answer = self._ask("decrypt", KeyId=self._key, CiphertextBlob=wrapped, EncryptionContext=dict(context))
        return bytes(answer["Plaintext"])

    def rotate(self) -> None:
        """Ask KMS for a new generation of the key."""
        self._ask("rotate_key_on_demand", KeyId=self._key)

    def _ask(self, what: str, **values: Any) -> Any:
        try:
            return getattr(self._client, what)(**values)
        except self._failures as error:
            code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
            if code in ("InvalidCiphertextException", "IncorrectKeyException"):
                raise WrongKey(f"the key {self._key} of AWS KMS does not open it") from None
            raise EncryptionFault(f"AWS KMS did not {what} with {self._key}: {error}") from None


def _region(key: str) -> str | None:
    """Return the region that an ARN names: `arn:aws:kms:REGION:ACCOUNT:key/ID`."""
    parts = key.split(":")
    return parts[3] if parts[0] == "arn" and len(parts) > 3 else None
