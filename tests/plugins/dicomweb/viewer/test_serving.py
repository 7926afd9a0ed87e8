"""The viewer's files: only the known package is installed, and they are served below any prefix with their headers."""

import base64
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomweb.viewer.install import LISTED, WrongPackage, installed
from fhir_server.testing.server import TestServer, serving
from tests.plugins.only import but

INDEX = (
    "<!doctype html><script>window.PUBLIC_URL = '/';</script><link href=\"/a.css\">"
    '<script src="/init-service-worker.js"></script><script src="/app.0123456789abcdef0123.js"></script>'
)
FILES = {
    "package/dist/index.html": INDEX,
    "package/dist/app.0123456789abcdef0123.js": "__webpack_require__.p = \"/\";" + "x();" * 400,
    "package/dist/a.css": "@font-face{src:url(/f.woff2)}",
    "package/dist/app.js.map": "{}",
    "package/dist/ort/ort.wasm": "large",
    "package/dist/../../outside.js": "bad",
    "package/README.md": "no file of the viewer",
}  # fmt: skip


def package(files: dict[str, str]) -> tuple[bytes, str]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            packed.addfile(member, io.BytesIO(text.encode()))
    content = buffer.getvalue()
    return content, "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("viewer") / "ohif"
    content, integrity = package(FILES)
    assert installed(content, place, integrity) == 3
    return place


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[TestServer]:
    chosen = {"dicomweb": {"viewer_folder": str(folder)}}
    with serving(plugins_disabled=but("dicomweb"), plugins=chosen) as running:
        yield running


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    chosen = {"dicomweb": {"viewer_folder": str(tmp_path_factory.mktemp("nothing"))}}
    with serving(plugins_disabled=but("dicomweb"), plugins=chosen) as running:
        yield running


def test_another_package_is_refused(tmp_path: Path) -> None:
    content, _ = package(FILES)
    with pytest.raises(WrongPackage, match="another one"):
        installed(content, tmp_path / "viewer")
    assert not (tmp_path / "viewer").exists()


def test_nothing_is_written_outside_of_the_folder(folder: Path) -> None:
    assert not list(folder.parent.rglob("outside.js"))
    assert json.loads((folder / LISTED).read_text())["files"] == ["a.css", "app.0123456789abcdef0123.js", "index.html"]


def test_the_page_finds_its_files_below_the_prefix_of_each_tenant(server: TestServer) -> None:
    for path in ("/viewer/", "/viewer/viewer?StudyInstanceUIDs=1.2.3"):
        text = server.client.get(path).text
        assert "window.PUBLIC_URL = '/viewer/'" in text
        assert 'href="/viewer/a.css"' in text
        assert text.index("session.js") < text.index("PUBLIC_URL")
        assert "service-worker" not in text


def test_bundles_are_kept_by_browsers_and_come_packed(server: TestServer, folder: Path) -> None:
    path = "/viewer/app.0123456789abcdef0123.js"
    answer = server.client.get(path, headers={"accept-encoding": "gzip"})
    packed = (folder / "app.0123456789abcdef0123.js.gz").stat().st_size
    assert int(answer.headers["content-length"]) == packed
    assert "immutable" in answer.headers["cache-control"]
    plain = server.client.get(path, headers={"accept-encoding": "identity"})
    assert int(plain.headers["content-length"]) > packed
    assert "window.PUBLIC_URL" in plain.text
    assert "url(f.woff2)" in server.client.get("/viewer/a.css").text


def test_headers_isolate_the_viewer(server: TestServer) -> None:
    headers = server.client.get("/viewer/").headers
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-embedder-policy"] == "require-corp"
    assert "connect-src 'self'" in headers["content-security-policy"]
    ours = server.client.get("/viewer/simple").headers["content-security-policy"]
    assert "script-src 'self';" in ours


def test_the_configuration_names_our_dicomweb(server: TestServer) -> None:
    text = server.client.get("/viewer/app-config.js").text
    config = json.loads(text.removeprefix("window.config = ").rstrip(";\n"))
    source = config["dataSources"][0]["configuration"]
    assert source["qidoRoot"] == source["wadoRoot"] == "/dicomweb"
    assert config["routerBasename"] == "/viewer"
    assert server.client.get("/viewer/settings.json").json()["client"] == "viewer"


@pytest.mark.parametrize("path", ["nothing.js", "..%2f..%2fsecrets.js", "viewer.json"])
def test_other_files_are_not_there(server: TestServer, path: str) -> None:
    assert server.client.get(f"/viewer/{path}").status_code == 404 or path == "viewer.json"
    assert "integrity" not in server.client.get(f"/viewer/{path}").text


def test_where_nothing_is_installed_our_page_shows_studies(bare: TestServer) -> None:
    for path in ("/viewer/", "/viewer/viewer?StudyInstanceUIDs=1.2.3"):
        answer = bare.client.get(path)
        assert answer.status_code == 200
        assert "simple.js" in answer.text
    assert bare.client.get("/viewer/simple.js").headers["content-type"].startswith("text/javascript")
    assert bare.client.get("/viewer/app.js").status_code == 404
    assert bare.client.get("/viewer", follow_redirects=False).headers["location"].endswith("/viewer/")
