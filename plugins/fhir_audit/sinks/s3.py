"""The archive in S3: rows and signed heads as objects that are written once and, with Object Lock, cannot be deleted.

The bucket needs versioning and Object Lock; credentials come from where boto3 finds them (environment, profile, role).

Spec: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from fhir_audit.sinks.archive import head_name, rows_name, rows_of
from fhir_audit.sinks.syslog import BadTarget
from fhir_server.plugin_api import AuditEntry, AuditHead, audit_head_line

if TYPE_CHECKING:
    from fhir_audit.settings import AuditSettings

_DAY: Final = 86_400
_TAKEN: Final = ("PreconditionFailed", "412")


class S3Archive:
    """A bucket, or a part of one: `s3://bucket/prefix`, with a folder for each tenant.

    Args:
        now: the time; objects are locked from then on.
    """

    name = "s3"

    def __init__(self, settings: "AuditSettings", now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        try:
            import boto3  # type: ignore[import-untyped]
            from botocore.config import Config  # type: ignore[import-untyped]
        except ImportError:
            raise BadTarget("an archive in S3 needs boto3: pip install 'fhir-server[s3]'") from None
        parts = urlsplit(settings.s3)
        self._bucket, self._prefix = parts.netloc, parts.path.strip("/")
        self._settings, self._now = settings, now
        limits = Config(connect_timeout=10, read_timeout=30, retries={"max_attempts": 3, "mode": "standard"})
        self._client = boto3.client(
            "s3", endpoint_url=settings.s3_endpoint or None, region_name=settings.s3_region or None, config=limits
        )

    def send(self, tenant: str, entries: Sequence[AuditEntry]) -> None:
        """Write rows as one object. Raises OSError."""
        self._put(tenant, rows_name(entries), rows_of(entries))

    def keep(self, tenant: str, head: AuditHead) -> None:
        """Write a head. Raises OSError."""
        self._put(tenant, head_name(head), audit_head_line(head))

    def _put(self, tenant: str, name: str, data: bytes) -> None:
        """Write an object unless there is one of this name: what stands there was written by us, before a kill."""
        from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

        key = "/".join(part for part in (self._prefix, tenant, name) if part)
        try:
            self._client.put_object(
                Bucket=self._bucket, Key=key, Body=data, ContentType="application/x-ndjson", IfNoneMatch="*",
                ChecksumAlgorithm="SHA256", **self._lock(),
            )  # fmt: skip
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code not in _TAKEN:
                raise OSError(f"s3://{self._bucket}: {code}") from error
        except BotoCoreError as error:
            raise OSError(f"s3://{self._bucket}: {error}") from error

    def _lock(self) -> dict[str, Any]:
        days = self._settings.s3_lock_days
        if not days:
            return {}  # what the bucket does by default
        until = self._now() + timedelta(seconds=days * _DAY)
        return {"ObjectLockMode": self._settings.s3_lock.upper(), "ObjectLockRetainUntilDate": until}
