"""Speaking to a store of S3: where it is, what is asked of it, and its refusals in words of ours."""

import os
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from fhir_server.storage.sqlite.archive.places.refusals import failures, told

T = TypeVar("T")

_CONNECT: Final = 5.0  # seconds
_CONNECTIONS: Final = 20
_ALL: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Options:
    """Which bucket, and how it is spoken to; lock: mode of the Object Lock in capitals, with its days, empty for what
    the bucket does by itself; encryption: that of the server's side, with the key of KMS."""

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = ""
    path_style: bool = False
    lock: str = ""
    lock_days: int = 0
    encryption: str = ""
    key: str = ""
    timeout: float = 30.0
    attempts: int = 3
    part: int = 64_000_000


class Client:
    """The client of boto3, made when it is first needed, for each process."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._known: tuple[int, Any] = (0, None)

    def where(self, name: str) -> str:
        """Return the URL of a name."""
        return "/".join(part for part in (f"s3://{self._options.bucket}", self._options.prefix, name) if part)

    def key(self, name: str) -> str:
        """Return the key of a name; of none, what all keys begin with."""
        prefix = self._options.prefix
        return f"{prefix}/{name}" if prefix else name

    def of(self, name: str) -> tuple[str, str]:
        """Return bucket and key."""
        return self._options.bucket, self.key(name)

    def named(self, name: str) -> dict[str, Any]:
        """Return the same as arguments."""
        return {"Bucket": self._options.bucket, "Key": self.key(name)}

    def load(
        self, name: str, read: Callable[[Any], T], extent: Mapping[str, str] = _ALL
    ) -> tuple[T, Mapping[str, Any]]:
        """Read an object; once more where the connection broke within the answer, which the client does not do."""
        failed: Exception = OSError(name)
        for _ in range(self._options.attempts):
            answer = self.call(name, "get_object", **self.named(name), **extent)
            try:
                with closing(answer["Body"]) as body:
                    return read(body), answer
            except failures() as error:
                failed = error
        raise told(failed, self.where(name)) from failed

    def transfer(self) -> Any:
        """Return how files go up and down."""
        from boto3.s3.transfer import TransferConfig  # type: ignore[import-untyped]

        # in this thread: those of a pool would hold the end of the process while a bucket does not answer
        part = self._options.part
        return TransferConfig(multipart_threshold=part, multipart_chunksize=part, use_threads=False)

    def call(self, name: str, method: str, **request: Any) -> Any:
        """Make one request. Raises OSError, NotImplementedError."""
        return self.ask(name, lambda s3: getattr(s3, method)(**request))

    def ask(self, name: str, call: Callable[[Any], T]) -> T:
        """Do something with the client. Raises OSError, NotImplementedError."""
        client = self._client()
        try:
            return call(client)
        except failures() as error:
            raise told(error, self.where(name)) from error

    def _client(self) -> Any:
        """Return the client of this process: connections must not be shared after a fork."""
        process, client = self._known
        if process != os.getpid():  # two threads may make one each; a lock could be held for ever after a fork
            client = _connected(self._options)
            self._known = os.getpid(), client
        return client


def _connected(options: Options) -> Any:
    try:
        import boto3  # type: ignore[import-untyped]
        from botocore.config import Config  # type: ignore[import-untyped]
    except ImportError:
        raise OSError("an archive in a bucket needs a package: pip install 'fhir-server[s3]'") from None
    config = Config(
        connect_timeout=_CONNECT, read_timeout=options.timeout, max_pool_connections=_CONNECTIONS,
        retries={"total_max_attempts": options.attempts, "mode": "standard"}, signature_version="s3v4",
        s3={"addressing_style": "path" if options.path_style else "auto"},
    )  # fmt: skip
    session = boto3.session.Session()
    try:
        return session.client(
            "s3", endpoint_url=options.endpoint or None, region_name=options.region or None, config=config
        )
    except failures() as error:
        raise told(error, f"s3://{options.bucket}") from error
    except ValueError as error:
        raise OSError(f"s3://{options.bucket}: {error}") from None
