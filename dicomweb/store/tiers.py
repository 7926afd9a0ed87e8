"""Where the bytes of an instance are: in the blobs of the store, or, when they are old, in an S3-compatible bucket.

What lies in the bucket is encrypted (AES-256-GCM, chunk by chunk) under a key of its own for each object, which stands
in the record of the instance: the bucket alone tells nothing, a range is a range, and the key goes with the record.
"""

import asyncio
import secrets
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dicomweb.doors import settings_of
from dicomweb.index.collections import INSTANCES
from dicomweb.model.values import Instance
from fhir_server.plugin_api import BlobChange, FhirError, NotFound, PluginContext, Record, RecordChange, RecordChanged

if TYPE_CHECKING:
    from dicomweb.settings import DicomSettings

_CHUNK: Final = 1_048_576
_TAG: Final = 16
_PART: Final = 8 * (_CHUNK + _TAG)
"""Bytes of a part of a multipart upload; S3 wants 5 MiB at least."""


class Elsewhere(FhirError):
    """The bucket does not answer, or holds something else."""

    status, code = 503, "transient"


async def source_of(
    ctx: PluginContext, instance: Instance, start: int = 0, end: int | None = None
) -> AsyncIterator[bytes]:  # fmt: skip
    """Return the bytes [start, end). Raises NotFound: they are gone."""
    blob, tier = instance.record.get("blob"), instance.record.get("tier")
    if blob is None and tier is not None:
        stop = instance.size if end is None else min(end, instance.size)
        return _from_bucket(settings_of(ctx), tier, start, stop)
    try:
        return await ctx.store.open(str(blob), start, end)
    except KeyError:
        raise NotFound("the object is not there any more", expression="http.url") from None


async def moved(ctx: PluginContext, record: Record) -> None:
    """Move the bytes of an instance to the bucket; they are released here when they are there."""
    settings = settings_of(ctx)
    name, key = f"{ctx.tenant}/{secrets.token_hex(16)}", secrets.token_bytes(32)
    chunks = await ctx.store.open(str(record.value["blob"]))
    await _uploaded(settings, name, key, chunks)
    tier = {"bucket": settings.tier_bucket, "name": name, "key": b64encode(key).decode()}
    value = {**record.value, "blob": None, "tier": tier}
    try:
        await ctx.store.keep(
            BlobChange(str(record.value["blob"]), attach=False),
            records=[RecordChange(INSTANCES.name, record.key, value, record.revision)],
        )
    except RecordChanged:
        await dropped(settings, tier)


async def dropped(settings: "DicomSettings", tier: Mapping[str, Any]) -> None:
    """Remove an object from the bucket."""
    await _call(_client(settings).delete_object, Bucket=tier["bucket"], Key=tier["name"])


async def _uploaded(settings: "DicomSettings", name: str, key: bytes, chunks: AsyncIterator[bytes]) -> None:
    client, bucket = _client(settings), settings.tier_bucket
    begun = await _call(client.create_multipart_upload, Bucket=bucket, Key=name)
    place = {"Bucket": bucket, "Key": name, "UploadId": begun["UploadId"]}
    parts: list[dict[str, Any]] = []
    try:
        async for part in _sealed(key, chunks):
            number = len(parts) + 1
            made = await _call(client.upload_part, **place, PartNumber=number, Body=part)
            parts.append({"ETag": made["ETag"], "PartNumber": number})
        await _call(client.complete_multipart_upload, **place, MultipartUpload={"Parts": parts})
    except BaseException:
        await _call(client.abort_multipart_upload, **place)
        raise


async def _sealed(key: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield parts of sealed chunks; each chunk but the last has the same size, and its number is its nonce."""
    cipher, plain, part, number = AESGCM(key), bytearray(), bytearray(), 0
    async for chunk in chunks:
        plain += chunk
        while len(plain) >= _CHUNK:
            part += cipher.encrypt(number.to_bytes(12, "big"), bytes(plain[:_CHUNK]), None)
            del plain[:_CHUNK]
            number += 1
            if len(part) >= _PART:
                yield bytes(part)
                part.clear()
    part += cipher.encrypt(number.to_bytes(12, "big"), bytes(plain), None)
    yield bytes(part)


async def _from_bucket(
    settings: "DicomSettings", tier: Mapping[str, Any], start: int, end: int
) -> AsyncIterator[bytes]:  # fmt: skip
    client, cipher = _client(settings), AESGCM(b64decode(tier["key"]))
    while start < end:
        number = start // _CHUNK
        first = number * (_CHUNK + _TAG)
        span = f"bytes={first}-{first + _CHUNK + _TAG - 1}"
        found = await _call(client.get_object, Bucket=tier["bucket"], Key=tier["name"], Range=span)
        sealed = await asyncio.to_thread(found["Body"].read)
        try:
            plain = cipher.decrypt(number.to_bytes(12, "big"), sealed, None)
        except InvalidTag:
            raise Elsewhere("the bucket holds something else than was put there") from None
        chunk = plain[start - number * _CHUNK : end - number * _CHUNK]
        if not chunk:
            raise Elsewhere("the object in the bucket is shorter than it was")
        start += len(chunk)
        yield chunk


def _client(settings: "DicomSettings") -> Any:
    """Return a client of S3; credentials are those of the environment, as boto3 finds them."""
    try:
        import boto3  # type: ignore[import-untyped]  # heavy, and not needed where nothing is tiered
    except ImportError:
        raise Elsewhere("old objects in a bucket need boto3: pip install 'fhir-server[s3]'") from None
    return boto3.client("s3", endpoint_url=settings.tier_endpoint or None)


async def _call(work: Any, **arguments: Any) -> Any:
    from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]  # comes with boto3

    try:
        return await asyncio.to_thread(lambda: work(**arguments))
    except (BotoCoreError, ClientError) as error:
        raise Elsewhere(f"the bucket does not answer as it should ({type(error).__name__})") from error
