"""What the author of a plugin does: follows docs/plugins.md, or begins with `plugins new`, and installs it by pip."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from fhir_server import hookspecs
from tests.integration.running import command

_PAGE = Path(__file__).parents[3] / "docs" / "plugins.md"
_BLOCK = re.compile(r"```python file=(\S+)\n(.*?)```", re.S)


def _run(*arguments: str | Path, cwd: Path, path: str = "", more: Mapping[str, str] | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FHIR_SERVER_")}
    environment |= {**({"PYTHONPATH": path} if path else {}), **(more or {})}
    done = subprocess.run(
        list(map(str, arguments)), cwd=cwd, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_code_of_the_page_works(tmp_path: Path) -> None:
    files: dict[str, str] = {}
    for name, code in _BLOCK.findall(_PAGE.read_text()):
        files[name] = files.get(name, "") + code
    assert {"hello/__init__.py", "hello/plugin.py", "test_hello.py"} == set(files)
    installed = tmp_path / "installed"
    for name, code in files.items():
        place = (installed if name.startswith("hello/") else tmp_path) / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(code)
    info = installed / "hello-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hello\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[fhir_server.plugins]\nhello = hello:MANIFEST\n")
    said = _run(sys.executable, "-m", "pytest", "-q", "test_hello.py", cwd=tmp_path, path=str(installed))
    assert "6 passed" in said


def test_the_code_of_the_page_works_before_it_is_installed(tmp_path: Path) -> None:
    for name, code in _BLOCK.findall(_PAGE.read_text()):
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text((place.read_text() if place.exists() else "") + code)
    said = _run(
        sys.executable, "-m", "pytest", "-q", "test_hello.py", cwd=tmp_path, more={"FHIR_SERVER_PLUGINS_DIR": "."}
    )
    assert "6 passed" in said


def test_a_new_plugin_is_installed_by_pip_and_passes_its_own_tests(tmp_path: Path) -> None:
    _run(*command("plugins", "new", "greeter", "--folder", tmp_path), cwd=tmp_path)
    target = tmp_path / "site"
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", target)
    _run(*pip, tmp_path / "greeter", cwd=tmp_path)
    said = _run(sys.executable, "-m", "pytest", "-q", tmp_path / "greeter" / "tests", cwd=tmp_path, path=str(target))
    assert "3 passed" in said
    said = _run(*command("plugins", "check", "greeter"), cwd=tmp_path, path=str(target))
    assert "greeter 0.1.0 is sound: " in said
    assert "1 operations" in said


def test_every_hook_is_documented() -> None:
    page = _PAGE.read_text()
    hooks = [name for name, value in vars(hookspecs).items() if hasattr(value, "fhir_server_spec")]
    assert len(hooks) > 15
    assert [name for name in hooks if f"| `{name}` |" not in page] == []
