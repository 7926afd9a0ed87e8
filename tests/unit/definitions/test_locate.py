"""The tables are found from a clone, from an editable install and from a built wheel."""

import json
import os
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

import msgspec
import pytest

from fhir_server.definitions import loader

ROOT = Path(__file__).resolve().parents[3]
PRINT_FACTS = (
    "from fhir_server.definitions import load, locate; d = load(); "
    "print(locate(), len(d.resource_types), len(d.search_parameters), len(d.patient_links)); "
    "from fhir_server.packages import core_library; "
    "print(*(sum(1 for _ in core_library().all(t)) for t in ('StructureDefinition', 'ValueSet')))"
)

COUNTS = ["145", "1375", "145", "655", "1316"]


def facts(python: Path | str, folder: Path, **environment: str) -> tuple[Path, list[str]]:
    """Where another interpreter, standing in another folder, finds the tables, and what it counts there."""
    done = subprocess.run(
        [str(python), "-c", PRINT_FACTS],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    where, *counts = done.stdout.split()
    return Path(where), counts


def source_copy(folder: Path) -> Path:
    """A copy of what makes the distribution, so that building leaves nothing in the checkout."""
    for name in ("fhir_server", "dicomweb", "profiles", "terminology"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, folder / name)
    return folder


def environment_with_dependencies(folder: Path) -> Path:
    """The interpreter of a new environment that sees this one's packages, but not an editable install here."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    site = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    packages = Path(str(msgspec.__file__)).parent
    (Path(site.stdout.strip()) / "msgspec").symlink_to(packages)
    return python


def pip_install(python: Path, *arguments: str) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_clone_is_read_where_it_is(tmp_path: Path) -> None:
    where, counts = facts(sys.executable, tmp_path, PYTHONPATH=str(ROOT))
    assert where == ROOT / "profiles" / "r4"
    assert counts == COUNTS


@pytest.mark.slow
def test_editable_install_reads_the_source_folder(tmp_path: Path) -> None:
    source = source_copy(tmp_path / "source")
    python = environment_with_dependencies(tmp_path / "env")
    pip_install(python, "--editable", str(source))
    where, counts = facts(python, tmp_path)
    assert where == source / "profiles" / "r4"
    assert counts == COUNTS


@pytest.mark.slow
def test_wheel_carries_the_tables(tmp_path: Path) -> None:
    source = source_copy(tmp_path / "source")
    python = environment_with_dependencies(tmp_path / "env")
    pip_install(python, str(source))
    shutil.rmtree(source)
    where, counts = facts(python, tmp_path)
    assert where.is_relative_to(tmp_path / "env")
    assert where.parts[-4:] == ("fhir_server", "data", "profiles", "r4")
    assert counts == COUNTS
    assert json.loads((where / "manifest.json").read_text())["version"] == "4.0.1"


def test_incomplete_installation_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "_PLACES", (tmp_path / "profiles",))
    with pytest.raises(FileNotFoundError, match="R4 definitions"):
        loader.locate()


def test_loading_is_lazy_and_quick() -> None:
    """The budget is 60 ms with the imports on an idle machine; here the reading alone, the best of five."""
    best = min(_seconds_to_load() for _ in range(5))
    assert best < 0.15


def _seconds_to_load() -> float:
    start = time.perf_counter()
    loader.load.__wrapped__()
    return time.perf_counter() - start
