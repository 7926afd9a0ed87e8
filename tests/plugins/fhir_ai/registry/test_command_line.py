"""`fhir-server models`: keys, signatures and the registry, as its operator uses them."""

import argparse
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from fhir_ai.models import package_in
from fhir_ai.models.signing import verify
from fhir_ai.registry.commands import add_arguments, ask

from fhir_server.plugin_api import CommandFailed
from fhir_server.plugins import load_plugins
from fhir_server.settings import Settings
from fhir_server.testing.server import serving
from tests.plugins.fhir_ai.registry.models import NAME, write

pytest.importorskip("onnxruntime", reason="models need fhir-server[ai]")


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "signing.key"


@pytest.fixture(scope="module")
def public(key: Path) -> str:
    from fhir_ai.models.signing import public_of

    assert run(None, "keygen", "--key", str(key)) == 0
    return public_of(key.read_text())


@pytest.fixture(scope="module")
def server(public: str) -> Iterator[Any]:
    with serving(plugins={"fhir_ai": {"model_keys": [public]}}) as found:
        yield found


def run(server: Any, *arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return ask(lambda: nullcontext(server and server.client), parser.parse_args(arguments))


def test_a_model_is_signed_registered_promoted_and_rolled_back(
    server: Any, key: Path, public: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for version in ("1.0.0", "1.1.0"):
        folder = write(tmp_path / version, version=version)
        with pytest.raises(CommandFailed, match="holds no signed model"):
            run(server, "register", str(folder))
        assert run(server, "sign", str(folder), "--key", str(key)) == 0
        package = package_in(folder)
        verify(package.said(package.content()), package.signature, (public,), NAME)
        assert run(server, "register", str(folder)) == 0
        assert run(server, "promote", NAME, version) == 0
    assert run(server, "promote", NAME, "1.0.0", "--canary", "10") == 0
    capsys.readouterr()
    assert run(server, "list", "--verify") == 0
    told = capsys.readouterr().out
    assert "name=tiny  version=1.1.0" in told
    assert "state=challenger  canary=10" in told
    assert told.count("usable=True") == told.count("name=")
    assert run(server, "rollback", NAME) == 0
    assert "champion=1.0.0" in capsys.readouterr().out
    assert run(server, "performance", NAME) == 0
    assert '"resourceType": "MeasureReport"' in capsys.readouterr().out
    assert run(server, "stop", NAME, "1.0.0", "--because", "a trial") == 0
    assert run(server, "resume", NAME, "1.0.0") == 0
    assert run(server, "retire", NAME, "1.1.0") == 0


def test_what_cannot_be_done_is_said(server: Any, key: Path, public: str, tmp_path: Path) -> None:
    for arguments, said in (
        (("promote", "nobody", "1.0.0"), "no model nobody"),
        (("rollback",), "rollback what"),
        (("register", str(tmp_path)), "holds no signed model"),
        (("keygen", "--key", str(key)), "never overwritten"),
        (("sign", str(tmp_path)), "--key FILE"),
        (("sign", str(tmp_path), "--key", str(key)), "cannot be signed"),
    ):
        with pytest.raises(CommandFailed, match=said):
            run(server, *arguments)


def test_a_private_key_is_for_its_owner_alone(key: Path, public: str) -> None:
    assert key.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ['["a=", "b="]', "a=, b="])
def test_lists_of_a_plugin_may_come_from_the_environment(text: str) -> None:
    settings = Settings(plugins={"fhir_ai": {"model_keys": text, "remote_models": "{}"}})
    loaded = next(each for each in load_plugins(settings).loaded if each.name == "fhir_ai")
    assert (loaded.settings.model_keys, loaded.settings.remote_models) == (("a=", "b="), {})  # type: ignore[attr-defined]
