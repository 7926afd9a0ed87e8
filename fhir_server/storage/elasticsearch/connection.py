"""The way to Elasticsearch: one client for a process, behind a breaker."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, Final

from elastic_transport import ApiError as TransportApiError
from elastic_transport import TransportError
from elasticsearch import ApiError, AsyncElasticsearch, UnsupportedProductError

from fhir_server.resilience import Breaker, BreakerOpen, policy_of
from fhir_server.settings import Settings
from fhir_server.storage.base import StorageFault

_REFUSED: Final = frozenset({400, 404, 413})
_ANSWERED: Final = frozenset({400, 403, 404, 410})
_KIND: Final = re.compile(r"[a-z_]{1,80}")
_NAME: Final = "Elasticsearch"


class IndexDown(Exception):
    """The index does not answer, or is not as it must be; the engine does without."""


class Refused(Exception):
    """The index answers, but not this: a query too large for it, or an index that was just deleted."""


class Connection:
    """Calls Elasticsearch. `ask` is for searches: short, once, refused while the breaker is open."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.client = client_of(settings)
        self.breaker = Breaker(_NAME, self._probe, policy_of(settings), settings.elasticsearch_timeout)
        self._writing = self.client.options(request_timeout=settings.elasticsearch_bulk_timeout)

    @property
    def writing(self) -> AsyncElasticsearch:
        """The client for what may take long."""
        return self._writing

    async def ask(self, call: Awaitable[Any]) -> Any:
        """Await a call. Raises IndexDown or Refused; what the server refuses counts as answered."""
        try:
            self.breaker.admit()
        except BreakerOpen as error:
            _drop(call)
            raise IndexDown(str(error)) from error
        try:
            async with asyncio.timeout(self.settings.elasticsearch_timeout):
                found = await call
        except (TransportError, TimeoutError, UnsupportedProductError) as error:
            self.breaker.failed(type(error).__name__)
            raise IndexDown(type(error).__name__) from error
        except ApiError as error:
            status = error.meta.status
            if status in _REFUSED:
                self.breaker.succeeded()
                raise Refused(f"status {status} {_kind(error)}".rstrip()) from error
            self.breaker.failed(f"status {status}")
            raise IndexDown(f"status {status} {_kind(error)}".rstrip()) from error
        self.breaker.succeeded()
        return found

    async def close(self) -> None:
        """Close all connections."""
        await self.breaker.close()
        await self.client.close()

    async def _probe(self) -> None:
        try:
            await self.client.cluster.health(timeout="1s")
        except ApiError as error:  # who may not ask that, or where nobody may, is answered all the same
            if error.meta.status not in _ANSWERED:
                raise


@asynccontextmanager
async def answered() -> AsyncIterator[None]:
    """Turn what the client raises into IndexDown."""
    try:
        yield
    except (TransportError, TransportApiError, UnsupportedProductError, TimeoutError) as error:
        said = f" {error.meta.status} {_kind(error)}" if isinstance(error, ApiError) else ""
        raise IndexDown(f"{type(error).__name__}{said}".rstrip()) from error


def _kind(error: ApiError) -> str:
    """Return the name of an error, `security_exception`; what is said beside it may hold values."""
    return error.message if _KIND.fullmatch(str(error.message)) else ""


def _drop(call: Awaitable[Any]) -> None:
    close = getattr(call, "close", None)
    if close is not None:
        close()


def client_of(settings: Settings) -> AsyncElasticsearch:
    """Return a client; it connects when it is first used. Raises StorageFault for an address that is none."""
    options: dict[str, Any] = {"request_timeout": settings.elasticsearch_timeout, "retry_on_timeout": False}
    if settings.elasticsearch_api_key:
        options["api_key"] = settings.elasticsearch_api_key
    elif settings.elasticsearch_user:
        options["basic_auth"] = (settings.elasticsearch_user, settings.elasticsearch_password)
    if settings.elasticsearch_ca is not None:
        options["ca_certs"] = str(settings.elasticsearch_ca)
    logging.getLogger("elastic_transport").setLevel(logging.WARNING)  # it tells of each call
    hosts = [each.strip() for each in settings.elasticsearch_url.split(",") if each.strip()]
    try:
        if wrong := [each for each in hosts if not each.startswith(("http://", "https://"))]:
            raise ValueError(f"{wrong[0].partition('://')[0][:20]!r} is neither http nor https")
        return AsyncElasticsearch(hosts, max_retries=0, **options)
    except ValueError as error:
        raise StorageFault(f"elasticsearch_url: {error}") from None
