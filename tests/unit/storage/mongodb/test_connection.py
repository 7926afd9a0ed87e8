"""Addresses as people write them, and what is told of errors that a server gives."""

import pytest
from pymongo import ReadPreference
from pymongo.errors import BulkWriteError, OperationFailure

from fhir_server.settings import Settings
from fhir_server.storage.base import StorageFault, StorageFull, StoreError, StoreUnavailable
from fhir_server.storage.mongodb.connection import Server, client_of, concerns, faults
from fhir_server.storage.mongodb.provider import MongoProvider


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        (18, StorageFault, "password"),
        (13, StorageFault, "may not do this"),
        (43, StoreUnavailable, "ended an operation"),
        (175, StoreUnavailable, "ended an operation"),
        (133, StoreUnavailable, "ended an operation"),
        (64, StoreUnavailable, "could not confirm"),
        (14031, StorageFull, "out of space"),
        (2, StorageFault, "refused"),
    ],
)
def test_a_refusal_of_the_server_is_told_by_what_it_means(code: int, kind: type[StoreError], said: str) -> None:
    secret = "name: Smith"
    for error in (OperationFailure(secret, code), BulkWriteError({"writeErrors": [{"code": code, "errmsg": secret}]})):
        with pytest.raises(kind, match=said) as told, faults():
            raise error
        assert secret not in str(told.value)


async def test_what_no_store_reads_is_read_from_the_primary_whatever_the_address_prefers() -> None:
    url = (
        "mongodb://u:p%40ss@db1,db2:27018/admin?replicaSet=rs0&tls=true&readPreference=nearest&readPreferenceTags=dc:a"
    )
    client = client_of(Settings(mongodb_url=url))
    assert client.read_preference == ReadPreference.PRIMARY
    await client.close()


@pytest.mark.parametrize("asked", ["0", "-1"])
def test_a_write_that_nobody_would_confirm_is_refused(asked: str) -> None:
    server = Server("MongoDB 8.0", transactions=True, streams=True, nested=True)
    with pytest.raises(StorageFault, match="mongodb_write_concern"):
        concerns(Settings(mongodb_write_concern=asked), server)


async def test_why_no_server_is_found_stands_in_the_log_and_in_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    url = "mongodb://user:geheim@127.0.0.1:1/?tls=true"
    provider = MongoProvider(Settings(mongodb_url=url, mongodb_timeout=1), lambda: 0)
    with pytest.raises(StoreUnavailable) as told:
        await provider.open("default")
    await provider.close()
    assert "127.0.0.1" not in str(told.value)
    assert "mongodb does not answer (127.0.0.1:1: " in caplog.text and "refused" in caplog.text
    assert "geheim" not in caplog.text
