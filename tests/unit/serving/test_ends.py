"""The ends of a move as they are named: what is no address is told, without what may be a password in it."""

import pytest

from fhir_server.serving.moving.ends import BadEnd, end_of
from fhir_server.settings import Settings
from fhir_server.storage.base import StorageFault


def test_an_address_of_no_engine_is_refused_without_its_password() -> None:
    with pytest.raises(BadEnd, match="'postgres': name a store as") as refused:
        end_of("postgres://user:geheim@db/fhir", Settings())
    assert "geheim" not in str(refused.value)


async def test_an_address_that_the_driver_refuses_is_told_without_its_password() -> None:
    end = end_of("mongodb://user:ge@heim@db1/fhir", Settings())
    with pytest.raises(StorageFault, match="Username and password must be escaped") as refused:
        end.open()
    assert "heim" not in str(refused.value)
