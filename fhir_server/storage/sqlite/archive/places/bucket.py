"""An archive in a bucket of S3, or of a store that speaks S3.

Objects appear whole or not at all, so no drafts are needed but for a base backup, whose last object makes it one.
Credentials come from where boto3 finds them: environment, profile, role.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/Welcome.html
"""

import errno
import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from fhir_server.storage.sqlite import durable
from fhir_server.storage.sqlite.archive.places.client import Client, Options
from fhir_server.storage.sqlite.archive.places.crew import each_of
from fhir_server.storage.sqlite.archive.places.place import Found, Taken

_log: Final = logging.getLogger(__name__)
_CHUNK: Final = 1_000_000
_PAGE: Final = 1_000  # names in one answer, or in one request to remove
_LONGER: Final = 1.25  # what base backups share is locked so much longer, and not renewed with each of them
_SPARE: Final = 64_000_000  # bytes that a draft leaves free on a disk that a record may be on


class Bucket:
    """The objects of a bucket whose keys begin with a prefix."""

    at_once = 16

    def __init__(self, options: Options) -> None:
        self._options, self._s3 = options, Client(options)
        self._conditions = True

    def where(self, name: str) -> str:
        """Return the URL."""
        return self._s3.where(name)

    def doubt(self) -> str:
        """Return nothing: a name is of one bucket."""
        return ""

    def begin(self) -> None:
        """Do nothing: a bucket is made, and locked, by who runs it."""

    def get(self, name: str, most: int | None = None) -> bytes:
        """Read an object, its beginning by a range."""
        return self._read(name, most)[0]

    def marked(self, name: str) -> tuple[bytes, str]:
        """Read an object; the mark is its ETag."""
        data, answer = self._read(name)
        return data, str(answer["ETag"])

    def fetch(self, name: str, target: Path) -> None:
        """Load an object down, in parts."""
        durable.make_folder(target.parent)
        self._s3.ask(name, lambda s3: s3.download_file(*self._s3.of(name), str(target), Config=self._s3.transfer()))
        target.chmod(0o600)

    def digest(self, name: str) -> str:
        """Load an object down for its sum, and keep nothing of it."""

        def read(body: Any) -> str:
            found = sha256()
            while chunk := body.read(_CHUNK):
                found.update(chunk)
            return found.hexdigest()

        try:
            return self._s3.load(name, read)[0]
        except FileNotFoundError:
            return ""

    @contextmanager
    def at_hand(self, folder: str, names: Sequence[str]) -> Iterator[Path]:
        """Load them into a temporary folder."""
        with tempfile.TemporaryDirectory(prefix="fhir-archive-") as made:
            for name in names:
                with suppress(FileNotFoundError):
                    self.fetch(f"{folder}/{name}", Path(made) / name)
            yield Path(made)

    def put(self, name: str, data: bytes) -> None:
        """Write an object."""
        self._put(name, data, self._locked())

    def put_file(self, name: str, source: Path) -> None:
        """Write a file as an object, in parts if it is large."""
        self._upload(name, source, _LONGER)

    def put_if(self, name: str, data: bytes, mark: str, *, lasting: bool = True) -> str:
        """Write an object that is not locked, on condition of what stands there.

        A store that knows no conditions is told of once; whoever claims an archive there looks again a moment later.
        """
        condition = {"IfMatch": mark} if mark else {"IfNoneMatch": "*"}
        try:
            return self._put(name, data, condition if self._conditions else {})
        except Taken:
            known, now = self.marked(name)
            if known == data:  # the first attempt did arrive, its answer did not
                return now
            raise
        except FileNotFoundError as error:  # what was to be replaced
            raise Taken(str(error)) from None
        except NotImplementedError:
            _log.warning("%s knows no conditional writes: two servers are told apart by looking again", self.where(""))
            self._conditions = False
            return self._put(name, data, {})

    @contextmanager
    def draft(self, beside: str, scratch: Path, size: int) -> Iterator[Path]:
        """Give a folder on the local disk, and take back what uploads left that were stopped."""
        draft = scratch / "base-draft"
        shutil.rmtree(draft, ignore_errors=True)
        durable.make_folder(scratch)
        free = shutil.disk_usage(scratch).free
        if free < size + _SPARE:
            said = f"a base backup needs {size + _SPARE} bytes before it goes to the bucket, there are {free}"
            raise OSError(errno.ENOSPC, said, str(scratch))
        self._abort(beside)
        try:
            yield draft
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def put_folder(self, draft: Path, name: str, last: str) -> None:
        """Write all files, the last one when the others are there."""
        paths = sorted((path for path in draft.rglob("*") if path.is_file()), key=lambda path: path.name == last)
        for path in paths:
            self._upload(f"{name}/{path.relative_to(draft).as_posix()}", path)

    def holds(self, name: str, start: bytes, size: int) -> bool:
        """Read the beginning of an object; where its lock ends too soon, lock it anew."""
        if not start:
            return False  # there is no range of nothing
        try:
            data, answer = self._read(name, len(start))
        except FileNotFoundError:
            return False
        if data != start or int(str(answer.get("ContentRange", f"/{len(data)}")).rpartition("/")[2]) != size:
            return False
        until = answer.get("ObjectLockRetainUntilDate")
        if self._options.lock and (until is None or until < self._until()):
            lock = {"Mode": self._options.lock, "RetainUntilDate": self._until(_LONGER)}
            self._s3.call(name, "put_object_retention", **self._s3.named(name), Retention=lock)
        return True

    def found(self, folder: str) -> Iterator[Found]:
        """List by prefix, page by page."""
        cut = len(self._s3.key(""))
        for page in self._pages(folder):
            for each in page.get("Contents", ()):
                yield Found(each["Key"][cut:], each["Size"], each["LastModified"].timestamp())

    def folders(self, folder: str) -> list[str]:
        """List by prefix up to the next slash."""
        pages = self._pages(folder, Delimiter="/")
        return [each["Prefix"].split("/")[-2] for page in pages for each in page.get("CommonPrefixes", ())]

    def remove(self, names: Sequence[str]) -> int:
        """Remove objects; in a bucket with versions what they held stays behind a marker, for as long as it is locked
        and until a rule of the bucket takes it away."""
        refused = 0
        for start in range(0, len(names), _PAGE):
            keys = [{"Key": self._s3.key(name)} for name in names[start : start + _PAGE]]
            request = {"Bucket": self._options.bucket, "Delete": {"Objects": keys, "Quiet": True}}
            answer = self._s3.call(names[start], "delete_objects", **request)
            for error in answer.get("Errors", ()):
                if error.get("Code") not in ("AccessDenied", "ObjectLocked", "InvalidRequest"):
                    raise OSError(f"{self.where('')}: {error.get('Key')} is not removed: {error.get('Code')}")
                refused += 1
        return refused

    def move(self, folder: str, to: str) -> None:
        """Copy all objects within the store, then remove the old ones."""
        names = [each.name for each in self.found(folder)]

        def bring(name: str) -> None:
            source = {"Bucket": self._options.bucket, "Key": self._s3.key(name)}
            place = self._s3.of(to + name[len(folder) :])
            kept = {"ChecksumAlgorithm": "SHA256", **self._kept(self._locked())}
            config = self._s3.transfer()
            self._s3.ask(name, lambda s3: s3.copy(source, *place, ExtraArgs=kept, Config=config))

        for _, outcome in each_of(names, bring, self.at_once):
            outcome()
        if names:
            self.remove(names)

    def afterlife(self) -> str:
        """Say whether older versions stay, and what ends them."""
        try:
            if "Status" not in self._s3.call("", "get_bucket_versioning", Bucket=self._options.bucket):
                return ""
            rules = self._s3.ask("", self._rules)
        except OSError as error:
            return f"whether {self.where('')} keeps what was removed cannot be told: {error}"
        days = [int(rule["NoncurrentVersionExpiration"].get("NoncurrentDays", 0)) for rule in rules]
        ends = f"and goes {min(days)} days later by a rule of the bucket" if days else (
            "and NO rule of the bucket removes it: give it a lifecycle rule for noncurrent versions")  # fmt: skip
        return f"what was removed from {self.where('')} stays there as older versions while it is locked, {ends}"

    def _rules(self, s3: Any) -> list[Mapping[str, Any]]:
        from botocore.exceptions import ClientError  # type: ignore[import-untyped]

        try:
            rules = s3.get_bucket_lifecycle_configuration(Bucket=self._options.bucket)["Rules"]
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "NoSuchLifecycleConfiguration":
                raise
            return []
        return [each for each in rules if each.get("Status") == "Enabled" and "NoncurrentVersionExpiration" in each]

    def _read(self, name: str, most: int | None = None) -> tuple[bytes, Mapping[str, Any]]:
        return self._s3.load(name, lambda body: body.read(), {} if most is None else {"Range": f"bytes=0-{most - 1}"})

    def _put(self, name: str, data: bytes, more: Mapping[str, Any]) -> str:
        request = {**self._s3.named(name), "Body": data, "ChecksumAlgorithm": "SHA256", **self._kept(more)}
        return str(self._s3.call(name, "put_object", **request)["ETag"])

    def _upload(self, name: str, source: Path, longer: float = 1.0) -> None:
        kept = {"ChecksumAlgorithm": "SHA256", **self._kept(self._locked(longer))}
        config = self._s3.transfer()
        self._s3.ask(name, lambda s3: s3.upload_file(str(source), *self._s3.of(name), ExtraArgs=kept, Config=config))

    def _abort(self, folder: str) -> None:
        """Take back what was uploaded of objects that never came to be; of a key that may not do so, a rule of the
        bucket does."""
        request = {"Bucket": self._options.bucket, "Prefix": f"{self._s3.key(folder)}/"}
        with suppress(OSError, NotImplementedError):
            for each in self._s3.call(folder, "list_multipart_uploads", **request).get("Uploads", ()):
                known = {"Bucket": self._options.bucket, "Key": each["Key"], "UploadId": each["UploadId"]}
                self._s3.call(folder, "abort_multipart_upload", **known)

    def _pages(self, folder: str, **more: str) -> Iterator[Mapping[str, Any]]:
        request = {
            "Bucket": self._options.bucket,
            "Prefix": self._s3.key(folder) + "/" if folder else self._s3.key(""),
            "MaxKeys": _PAGE,
            **more,
        }
        while True:
            page = self._s3.call(folder, "list_objects_v2", **request)
            yield page
            if not page.get("IsTruncated"):
                return
            request = {**request, "ContinuationToken": page["NextContinuationToken"]}

    def _kept(self, more: Mapping[str, Any]) -> dict[str, Any]:
        encryption = {"ServerSideEncryption": self._options.encryption} if self._options.encryption else {}
        key = {"SSEKMSKeyId": self._options.key} if self._options.key else {}
        return {**more, **encryption, **key}

    def _locked(self, longer: float = 1.0) -> dict[str, Any]:
        if not self._options.lock:
            return {}
        return {"ObjectLockMode": self._options.lock, "ObjectLockRetainUntilDate": self._until(longer)}

    def _until(self, longer: float = 1.0) -> datetime:
        return datetime.now(UTC) + timedelta(days=self._options.lock_days * longer)


@lru_cache(8)
def bucket(options: Options) -> Bucket:
    """Return the bucket of some options: one for the process, with its connections."""
    return Bucket(options)
