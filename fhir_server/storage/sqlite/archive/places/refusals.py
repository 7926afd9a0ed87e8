"""What a store that speaks S3 may answer, as errors of this language and in words that tell what to do."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from fhir_server.storage.sqlite.archive.places.place import Taken

_GONE: Final = ("NoSuchKey", "NoSuchVersion", "404")
_TAKEN: Final = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
_LACKING: Final = ("NotImplemented", "501")
_FORBIDDEN: Final = 403
_WORDS: Final[Mapping[str, str]] = {
    "NoSuchBucket": "there is no such bucket",
    "RequestTimeTooSkewed": "the clock of this machine differs from that of the bucket by more than 15 minutes",
    "AccessDenied": "this is not allowed to the credentials that were found",
    "InvalidAccessKeyId": "the access key is not known",
    "SignatureDoesNotMatch": "the secret key is another",
    "ExpiredToken": "the credentials have expired",
    "SlowDown": "it is asked more than it answers",
    "ServiceUnavailable": "it does not serve now",
}


@lru_cache(1)
def failures() -> tuple[type[Exception], ...]:
    """Return what calls of the client raise."""
    from boto3.exceptions import Boto3Error  # type: ignore[import-untyped]
    from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]
    from urllib3.exceptions import HTTPError

    return (BotoCoreError, ClientError, Boto3Error, HTTPError)


def told(error: Exception, where: str) -> Exception:
    """Return an error in our words: FileNotFoundError, Taken, NotImplementedError, PermissionError, ConnectionError, or
    another OSError."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import ClientError

    if isinstance(error, Boto3Error) and isinstance(error.__context__, ClientError):
        error = error.__context__  # of an upload
    if not isinstance(error, ClientError):
        return ConnectionError(f"{where}: {error}")
    answer = error.response
    code, text = str(answer.get("Error", {}).get("Code", "")), str(answer.get("Error", {}).get("Message", ""))
    if code in _GONE:
        return FileNotFoundError(f"{where} is not there")
    said = f"{where}: {_WORDS.get(code, text[:200])} ({code})"
    if code in _TAKEN:
        return Taken(said)
    if code in _LACKING:
        return NotImplementedError(said)
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return PermissionError(said) if status == _FORBIDDEN else OSError(said)
