"""A store that speaks S3 on a socket, for tests: the server of moto, with buckets that may have Object Lock."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
"""What a server finds in its environment."""


@dataclass(frozen=True, slots=True)
class Store:
    """Where it listens, and a client of it."""

    port: int
    client: Any

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def bucket(self, name: str, *, locked: bool = False) -> str:
        """Make a bucket, with Object Lock and so with versions if asked; return its URL.

        Of one with versions moto lists folders in which all was removed, which S3 does not.
        """
        self.client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=locked)
        return f"s3://{name}"

    def keys(self, bucket: str) -> list[str]:
        """Return the keys of the objects of a bucket."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [each["Key"] for page in pages for each in page.get("Contents", ())]


@contextmanager
def running() -> Iterator[Store]:
    """Give one that ends with the context; the keys must be in the environment."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        port = server.get_host_and_port()[1]
        client = boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
            aws_access_key_id="testing", aws_secret_access_key="testing",
        )  # fmt: skip
        try:
            yield Store(port, client)
        finally:
            client.close()
    finally:
        server.stop()
