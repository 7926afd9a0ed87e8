"""A store that speaks S3 for the tests of a module, and places of either kind."""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from fhir_server.settings import Settings
from tests.servers.s3 import KEYS, Store, running
from tests.unit.storage.sqlite.kit import FAST


@pytest.fixture(scope="module")
def s3() -> Iterator[Store]:
    """The store, and the credentials for it in the environment."""
    before = {name: os.environ.get(name) for name in KEYS}
    os.environ.update(KEYS)
    try:
        with running() as store:
            yield store
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def in_bucket(s3: Store, prefix: str = "site/1", *, locked: bool = False, **values: object) -> Settings:
    """Settings of a server whose archive is in a bucket of its own."""
    url = s3.bucket(f"archive-{uuid4().hex[:12]}", locked=locked)
    given = {"backup_s3_endpoint": s3.url, "backup_s3_path_style": True, "backup_s3_region": "us-east-1", **values}
    return FAST.model_copy(update={"backup_archive": f"{url}/{prefix}" if prefix else url, **given})


@pytest.fixture(params=["folder", "bucket"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings with an archive that is empty."""
    if request.param == "folder":
        return FAST.model_copy(update={"backup_archive": tmp_path / "archive"})
    return in_bucket(request.getfixturevalue("s3"), backup_s3_part_bytes=5_242_880)
