"""The contracts of imports name every plugin, so that none is forgotten."""

from configparser import ConfigParser
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def test_every_plugin_is_held_to_the_plugin_api() -> None:
    contracts = ConfigParser()
    contracts.read(_ROOT / ".importlinter")
    plugins = {folder.parent.name for folder in (_ROOT / "plugins").glob("*/__init__.py")} | {"dicomweb"}
    assert plugins <= set(contracts["importlinter"]["root_packages"].split())
    assert plugins == set(contracts["importlinter:contract:plugins"]["source_modules"].split())
    assert plugins == set(contracts["importlinter:contract:apart"]["modules"].split())


def test_nothing_of_the_server_but_the_plugin_api_is_open_to_plugins() -> None:
    contracts = ConfigParser()
    contracts.read(_ROOT / ".importlinter")
    closed = set(contracts["importlinter:contract:plugins"]["forbidden_modules"].split())
    folder = _ROOT / "fhir_server"
    there = {f"fhir_server.{each.stem}" for each in folder.glob("*.py") if not each.stem.startswith("_")}
    there |= {f"fhir_server.{each.parent.name}" for each in folder.glob("*/__init__.py")}
    assert there - closed == {"fhir_server.plugin_api"}
