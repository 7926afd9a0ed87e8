"""Where the audit goes beside its store: nothing is left out, nothing is sent twice, files are never changed."""

import json
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from threading import Thread

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fhir_audit.sinks.archive import Archive
from fhir_audit.sinks.siem import Siem, as_message
from fhir_audit.sinks.syslog import BadTarget

from fhir_server.audit.events import Agent, Event, agent_text, row_of
from fhir_server.audit.keeper import Keeper
from fhir_server.audit.ledger import Head, head_of
from fhir_server.audit.verify import verify
from fhir_server.settings import Settings
from fhir_server.storage.audit import AuditEntry, AuditRow
from fhir_server.storage.memory.store import MemoryStore
from fhir_server.storage.sqlite.store import SqliteStore, open_store


def row(number: int, status: int = 200) -> AuditRow:
    return row_of(number, agent_text(Agent("ann", address="10.0.0.1")), Event("read", status, f"Patient/{number}", 1))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    made = await open_store(tmp_path / "store", Settings(data_dir=tmp_path, durable=False))
    yield made
    await made.close()


class Failing:
    """A sink that is not there at first."""

    name = "failing"

    def __init__(self) -> None:
        self.there, self.got = False, list[int]()

    def send(self, tenant: str, entries: Sequence[AuditEntry]) -> None:
        if not self.there:
            raise ConnectionRefusedError("not yet")
        self.got += [entry.seq for entry in entries]

    def keep(self, tenant: str, head: Head) -> None:
        pass


async def test_the_archive_holds_every_row_once_and_heads_that_verify_the_log(
    store: SqliteStore, tmp_path: Path
) -> None:
    keeper = Keeper([Archive(tmp_path / "archive")], lambda: 9)
    for start in (0, 5):
        await store.audit.append([row(start + number) for number in range(5)])
        await keeper.look("t", store)
        await keeper.look("t", store)
        await keeper.sign("t", store)
    folder = tmp_path / "archive" / "t"
    files = sorted(folder.glob("*.jsonl"))
    seqs = [json.loads(line)["seq"] for file in files for line in file.read_text().splitlines()]
    assert seqs == list(range(1, 11))
    assert all(file.stat().st_mode & 0o777 == 0o440 for file in files)
    heads = [head_of(msgspec.json.decode(file.read_bytes())) for file in sorted(folder.glob("*.head.json"))]
    assert [head.size for head in heads] == [5, 10]
    assert (await verify(store, heads)).problems == []


def test_a_file_of_the_archive_is_never_written_again(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.send("t", [AuditEntry(1, 1, agent_text(Agent()), row(1).body)])
    before = next((tmp_path / "t").iterdir()).read_bytes()
    archive.send("t", [AuditEntry(1, 2, agent_text(Agent()), row(2).body)])
    assert [file.read_bytes() for file in (tmp_path / "t").iterdir()] == [before]


async def test_a_sink_that_fails_gets_all_of_it_later_and_holds_up_no_other() -> None:
    store = MemoryStore(Settings(), lambda: 1)
    failing, other = Failing(), Failing()
    other.name, other.there = "other", True
    keeper = Keeper([failing, other], lambda: 9)
    await store.audit.append([row(number) for number in range(3)])
    with pytest.raises(ConnectionRefusedError):
        await keeper.look("t", store)
    assert other.got == [1, 2, 3]
    failing.there = True
    await keeper.look("t", store)
    assert (failing.got, other.got) == ([1, 2, 3], [1, 2, 3])


def test_a_message_is_one_of_syslog_with_the_event() -> None:
    text = as_message("t", AuditEntry(7, 1_700_000_000_000, agent_text(Agent("ann")), row(1, 403).body)).decode()
    head, _, body = text.partition("\ufeff")
    assert head.startswith("<108>1 2023-11-14T22:13:20.000Z ")
    assert head.endswith(' fhir-server - read [audit@32473 tenant="t" seq="7"] ')
    assert json.loads(body)["outcome"] == "4"


def certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "siem")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    paths = folder / "siem.pem", folder / "siem.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    paths[1].write_bytes(key.private_bytes(*form))
    return paths


def listening(paths: tuple[Path, Path], got: list[bytes]) -> tuple[int, Thread]:
    """A SIEM that takes one connection over TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*paths)
    server = socket.create_server(("127.0.0.1", 0))

    def take() -> None:
        try:
            with server, context.wrap_socket(server.accept()[0], server_side=True) as connection:
                while data := connection.recv(65_536):
                    got.append(data)
        except OSError:
            pass  # the other side did not like the certificate

    thread = Thread(target=take)
    thread.start()
    return server.getsockname()[1], thread


def test_events_go_over_tls_counted_in_octets(tmp_path: Path) -> None:
    paths, got = certificate(tmp_path), list[bytes]()
    port, thread = listening(paths, got)
    entries = [AuditEntry(seq, 1, agent_text(Agent()), row(seq).body) for seq in (1, 2)]
    Siem(f"tls://127.0.0.1:{port}", str(paths[0])).send("t", entries)
    thread.join(5)
    data, found = b"".join(got), []
    while data:
        size, _, data = data.partition(b" ")
        found.append(data[: int(size)])
        data = data[int(size) :]
    assert found == [as_message("t", entry) for entry in entries]


def test_a_certificate_that_is_not_known_is_refused(tmp_path: Path) -> None:
    got = list[bytes]()
    port, thread = listening(certificate(tmp_path), got)
    with pytest.raises(ssl.SSLCertVerificationError):
        Siem(f"tls://127.0.0.1:{port}").send("t", [AuditEntry(1, 1, agent_text(Agent()), row(1).body)])
    thread.join(5)
    assert got == []


def test_events_go_into_a_file_as_lines(tmp_path: Path) -> None:
    Siem(f"file:{tmp_path}/siem.jsonl").send("t", [AuditEntry(1, 1, agent_text(Agent()), row(1).body)])
    assert json.loads((tmp_path / "siem.jsonl").read_text())["resourceType"] == "AuditEvent"


@pytest.mark.parametrize("target", ["http://x", "tls://", "x", "file:"])
def test_other_targets_are_refused(target: str) -> None:
    with pytest.raises(BadTarget):
        Siem(target)
