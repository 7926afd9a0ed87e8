"""Master keys of every kind: they open what they wrapped, nothing else, and say what is missing."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import httpx
import pytest

from fhir_server.encryption.faults import EncryptionFault, WrongKey
from fhir_server.encryption.masters.aws_kms import KmsKey
from fhir_server.encryption.masters.base import MasterKey
from fhir_server.encryption.masters.chosen import encrypted, master_key, name_of
from fhir_server.encryption.masters.local import EnvironmentKey, FileKey
from fhir_server.encryption.masters.pkcs11 import TokenKey
from fhir_server.encryption.masters.vault import VaultKey
from fhir_server.settings import Settings

HERE, THERE = {"tenant": "here"}, {"tenant": "there"}
SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"


class Transit:
    """As much of Vault's transit engine as the server asks for."""

    def __init__(self) -> None:
        self.versions = 1
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if request.headers.get("X-Vault-Token") != "token":
            return httpx.Response(403, json={"errors": ["permission denied"]})
        body: dict[str, Any] = json.loads(request.content)
        if request.url.path == "/v1/transit/keys/fhir/rotate":
            self.versions += 1
            return httpx.Response(204)
        if request.url.path == "/v1/transit/encrypt/fhir":
            inside = base64.b64encode(json.dumps([body["plaintext"], body["associated_data"]]).encode()).decode()
            return httpx.Response(200, json={"data": {"ciphertext": f"vault:v{self.versions}:{inside}"}})
        if request.url.path == "/v1/transit/decrypt/fhir":
            plain, context = json.loads(base64.b64decode(body["ciphertext"].split(":")[2]))
            if context != body["associated_data"]:
                return httpx.Response(400, json={"errors": ["cipher: message authentication failed"]})
            return httpx.Response(200, json={"data": {"plaintext": plain}})
        return httpx.Response(404, json={"errors": []})


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The id of a key in an AWS KMS that runs in this process."""
    moto = pytest.importorskip("moto")
    boto3 = pytest.importorskip("boto3")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with moto.mock_aws():
        yield boto3.client("kms").create_key()["KeyMetadata"]["Arn"]


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of an AES key in a SoftHSM token."""
    pkcs11 = pytest.importorskip("pkcs11")
    tool = which("softhsm2-util")
    if tool is None or not Path(SOFTHSM).exists():
        pytest.skip("softhsm2 is not installed")
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\nlog.level = ERROR\n")
    (tmp_path / "pin").write_text("1234\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
    subprocess.run(
        [tool, "--init-token", "--free", "--label", "fhir", "--pin", "1234", "--so-pin", "4321"],
        check=True,
        capture_output=True,
    )
    library = pkcs11.lib(SOFTHSM)
    library.reinitialize()
    with library.get_token(token_label="fhir").open(user_pin="1234", rw=True) as session:
        session.generate_key(pkcs11.KeyType.AES, 256, label="master", store=True)
    return f"pkcs11:token=fhir;object=master?module-path={SOFTHSM}&pin-source=file:{tmp_path / 'pin'}"


def holds(master: MasterKey) -> None:
    """Check what every master key must do."""
    data = os.urandom(32)
    wrapped = master.wrap(data, HERE)
    assert data not in wrapped
    assert master.unwrap(wrapped, HERE) == data
    with pytest.raises(WrongKey):
        master.unwrap(wrapped, THERE)


def test_a_key_in_a_file_opens_what_it_wrapped_after_rotation_too(tmp_path: Path) -> None:
    master = FileKey.make(tmp_path / "folder" / "master.key")
    holds(master)
    assert (tmp_path / "folder" / "master.key").stat().st_mode & 0o777 == 0o600
    before, wrapped = master.id, master.wrap(b"data key", HERE)
    other = FileKey(tmp_path / "folder" / "master.key")
    master.rotate()
    assert master.id != before
    assert master.unwrap(wrapped, HERE) == b"data key"
    assert other.unwrap(master.wrap(b"newer", HERE), HERE) == b"newer"
    with pytest.raises(FileExistsError):
        FileKey.make(tmp_path / "folder" / "master.key")


def test_a_key_in_a_variable_opens_what_the_one_before_it_wrapped() -> None:
    first, second = (os.urandom(32).hex() for _ in range(2))
    master = EnvironmentKey("KEY", {"KEY": first})
    holds(master)
    wrapped = master.wrap(b"data key", HERE)
    assert EnvironmentKey("KEY", {"KEY": f"{second},{first}"}).unwrap(wrapped, HERE) == b"data key"
    with pytest.raises(WrongKey, match="variable KEY"):
        EnvironmentKey("KEY", {"KEY": second}).unwrap(wrapped, HERE)
    with pytest.raises(EncryptionFault, match="--wrap"):
        master.rotate()


@pytest.mark.parametrize("value", ["", "abc", "00" * 31, "zz" * 32])
def test_a_variable_without_a_whole_key_is_refused(value: str) -> None:
    with pytest.raises(EncryptionFault, match="KEY"):
        EnvironmentKey("KEY", {"KEY": value})


def test_a_key_in_aws_kms_opens_what_it_wrapped(kms: str) -> None:
    master = master_key(f"aws-kms:{kms}")
    holds(master)
    assert master.id == f"aws-kms:{kms}"


def test_a_key_that_aws_kms_does_not_have_is_named(kms: str) -> None:
    with pytest.raises(EncryptionFault, match="alias/nobody"):
        KmsKey("alias/nobody").wrap(b"data key", HERE)


def test_a_key_in_vault_opens_what_it_wrapped() -> None:
    transit = Transit()
    environment = {"VAULT_ADDR": "http://vault.test", "VAULT_TOKEN": "token"}
    master = VaultKey("fhir", environment, httpx.MockTransport(transit))
    holds(master)
    master.rotate()
    assert master.wrap(b"data key", HERE).startswith(b"vault:v2:")
    assert master.id == "vault:transit/fhir"


def test_a_token_that_vault_refuses_is_told() -> None:
    environment = {"VAULT_ADDR": "http://vault.test", "VAULT_TOKEN": "other"}
    with pytest.raises(EncryptionFault, match="403"):
        VaultKey("fhir", environment, httpx.MockTransport(Transit())).wrap(b"data key", HERE)


@pytest.mark.parametrize("environment", [{}, {"VAULT_ADDR": "http://vault.test"}])
def test_vault_without_address_or_token_is_told(environment: dict[str, str]) -> None:
    with pytest.raises(EncryptionFault, match="VAULT_"):
        VaultKey("fhir", environment)


def test_a_key_in_a_token_opens_what_it_wrapped(token: str) -> None:
    holds(master_key(token))


def test_a_wrong_pin_and_a_key_that_is_not_there_are_told(token: str, tmp_path: Path) -> None:
    with pytest.raises(EncryptionFault, match="fhir/other"):
        TokenKey(token.replace("object=master", "object=other"), {}).wrap(b"data key", HERE)
    (tmp_path / "pin").write_text("9999")
    with pytest.raises(EncryptionFault, match="Pin"):
        TokenKey(token, {}).wrap(b"data key", HERE)


@pytest.mark.parametrize(
    ("module", "name", "words"),
    [
        ("boto3", "aws-kms:alias/x", r"fhir-server\[kms\]"),
        ("pkcs11", "pkcs11:token=a;object=b", r"fhir-server\[pkcs11\]"),
    ],
)
def test_a_library_that_is_missing_is_told_with_what_to_install(
    module: str, name: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(EncryptionFault, match=words):
        master_key(name, {"PKCS11_MODULE": "/lib.so"})


@pytest.mark.parametrize("name", ["", "file:", "paper:here", "secret"])
def test_a_setting_that_names_no_master_key_is_refused(name: str) -> None:
    with pytest.raises(EncryptionFault, match="must be one of"):
        master_key(name)


def test_encryption_is_off_until_one_setting_switches_it_on(tmp_path: Path) -> None:
    assert not encrypted(Settings())
    assert encrypted(Settings(encryption="on"))
    assert encrypted(Settings(encryption_key="env:KEY"))
    assert not encrypted(Settings(encryption="off", encryption_key="env:KEY"))
    assert name_of(Settings(data_dir=tmp_path / "data")) == f"file:{tmp_path / 'data.master.key'}"
