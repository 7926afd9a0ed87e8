"""Keys of clients by URL: fetched, kept as long as their owner says, and never from within our own network."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from fhir_server.auth.clients import Client, save_client
from fhir_server.auth.errors import OAuthError
from fhir_server.auth.jwks import JwksFetcher, is_public, life_of
from tests.conformance.smart.conftest import Ehr
from tests.conformance.smart.requirements import requirement
from tests.conformance.smart.signing import EC, OTHER, public_keys


@dataclass
class Site:
    """A small web server that says what it is told to say."""

    url: str = ""
    body: bytes = b"{}"
    head: str = "HTTP/1.1 200 OK\r\ncontent-type: application/json"
    asked: list[str] = field(default_factory=list)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head.decode())
        writer.write(f"{self.head}\r\ncontent-length: {len(self.body)}\r\nconnection: close\r\n\r\n".encode())
        writer.write(self.body)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def site(**changes: Any) -> AsyncIterator[Site]:
    made = Site(**changes)
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys?x=1"
    async with server:
        yield made


def keys(*which: Any) -> bytes:
    return json.dumps(public_keys(*which)).encode()


@requirement("296", "339", "326", "338")
async def test_keys_are_fetched_by_get_from_the_registered_url(ehr: Ehr) -> None:
    async with site(body=keys(EC)) as web:
        client = Client("by-url", "x", "asymmetric", scopes="system/*.rs", grant_types=("client_credentials",),
                        jwks_uri=web.url)  # fmt: skip
        await save_client(ehr.desk, client)
        assert ehr.app.authorization is not None
        ehr.app.authorization.fetcher = JwksFetcher(inside=True)
        try:
            assert (await ehr.served("system/Patient.rs", client)).status_code == 200
            named = await ehr.served("system/Patient.rs", client, header={"jku": web.url})
            assert named.status_code == 200
            other = await ehr.served("system/Patient.rs", client, header={"jku": f"{web.url}&y=2"})
            assert other.json()["error"] == "invalid_client"
        finally:
            ehr.app.authorization.fetcher = JwksFetcher()
        assert len(web.asked) == 1 and web.asked[0].startswith("GET /keys?x=1 HTTP/1.1\r\n")


@requirement("341", "342")
@pytest.mark.parametrize(
    ("said", "after", "times"),
    [("max-age=60", 59, 1), ("max-age=60", 61, 2), ("no-store", 0, 2), ("no-cache, max-age=600", 1, 2), ("", 299, 1),
     ("", 301, 2), ("public, max-age=999999", 3500, 1), ("max-age=999999", 3601, 2), ("max-age=0", 0, 2)],
)  # fmt: skip
async def test_keys_are_kept_as_long_as_their_owner_says(said: str, after: float, times: int) -> None:
    time = [1000.0]
    fetcher = JwksFetcher(inside=True, clock=lambda: time[0])
    async with site(body=keys(EC), head=f"HTTP/1.1 200 OK\r\ncache-control: {said}") as web:
        await fetcher.get(web.url)
        time[0] += after
        await fetcher.get(web.url)
        assert len(web.asked) == times
    assert life_of({}) == 300


@requirement("341")
async def test_keys_that_have_aged_are_not_used_when_their_owner_is_away() -> None:
    time = [0.0]
    fetcher = JwksFetcher(inside=True, clock=lambda: time[0])
    async with site(body=keys(EC)) as web:
        await fetcher.get(web.url)
    assert (await fetcher.get(web.url))["keys"], "fresh enough"
    time[0] += 301
    with pytest.raises(OAuthError, match="cannot be fetched"):
        await fetcher.get(web.url)


async def test_a_key_that_is_missing_is_looked_for_again_but_not_all_the_time() -> None:
    time = [0.0]
    fetcher = JwksFetcher(inside=True, clock=lambda: time[0])
    async with site(body=keys(EC)) as web:
        for _ in range(5):
            await fetcher.get(web.url, fresh=True)
        web.body, time[0] = keys(OTHER), 11
        assert await fetcher.get(web.url, fresh=True) == public_keys(OTHER)
        assert len(web.asked) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"head": "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/"}, {"head": "HTTP/1.1 500 Oops"},
        {"head": "HTTP/1.1 200 OK\r\ncontent-encoding: gzip"}, {"head": "HTTP/1.1 204 No Content"}, {"body": b"[]"},
        {"body": b"not json"}, {"body": b"[" * 90_000},
        {"body": b'{"keys": [' + b" " * 200_000 + b"]}"}, {"head": "nonsense"},
    ],
)  # fmt: skip
async def test_what_is_no_plain_key_set_is_refused(changes: dict[str, Any]) -> None:
    async with site(**changes) as web:
        with pytest.raises(OAuthError, match="cannot be fetched"):
            await JwksFetcher(inside=True).get(web.url)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://localhost/",
        "https://[::1]/",
        "https://10.0.0.1/",
        "https://192.168.1.1:8443/",
        "https://169.254.169.254/latest/meta-data",
        "https://[fe80::1]/",
        "https://[fd00::1]/",
        "https://0.0.0.0/",
        "https://[::ffff:127.0.0.1]/",
        "https://[2002:7f00:1::]/",
        "https://[64:ff9b::7f00:1]/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://[::]/",
        "https://224.0.0.1/",
        "http://example.org/",
        "file:///etc/passwd",
        "https://user@127.0.0.1/",
        "https:///x",
        "",
        "ftp://x",
        "https://100.64.0.1/",
        "https://[::127.0.0.1]/",
    ],
)
async def test_nothing_within_is_asked(url: str) -> None:
    with pytest.raises(OAuthError, match="cannot be fetched"):
        await JwksFetcher().get(url)


def test_covers_of_private_addresses_are_seen_through() -> None:
    assert [is_public(a) for a in ("8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808")] == [True] * 4
    assert not any(is_public(a) for a in ("::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "198.18.0.1"))


async def test_a_public_name_that_leads_within_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One private address among public ones is enough; and the name is looked up once, so it cannot change its mind."""
    looked: list[str] = []
    loop = asyncio.get_running_loop()

    def lookup(addresses: list[str]) -> Callable[..., Awaitable[list[Any]]]:
        async def found(host: str, port: int, **_: Any) -> list[Any]:
            looked.append(host)
            return [(2, 1, 6, "", (address, port)) for address in addresses]

        return found

    for addresses in (["127.0.0.1"], ["8.8.8.8", "10.1.2.3"], ["::ffff:192.168.0.1"], []):
        monkeypatch.setattr(loop, "getaddrinfo", lookup(addresses))
        with pytest.raises(OAuthError):
            await JwksFetcher().get("https://keys.example/")
    assert looked == ["keys.example"] * 4


async def test_the_connection_goes_to_the_address_that_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    async with site(body=keys(EC)) as web:
        port = web.url.split(":")[2].split("/")[0]
        loop = asyncio.get_running_loop()
        real, looked = loop.getaddrinfo, list[str]()

        async def lookup(host: str, *rest: Any, **more: Any) -> Any:
            looked.append(str(host))
            return (
                [(2, 1, 6, "", ("127.0.0.1", int(port)))] if host == "keys.example" else await real(host, *rest, **more)
            )

        monkeypatch.setattr(loop, "getaddrinfo", lookup)
        assert await JwksFetcher(inside=True).get(f"http://keys.example:{port}/") == public_keys(EC)
        assert looked.count("keys.example") == 1
        assert f"host: keys.example:{port}" in web.asked[0].lower()
