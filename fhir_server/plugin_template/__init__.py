"""A new plugin from a template: a distribution of its own with one thing of each common kind, and tests that pass."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from keyword import iskeyword
from pathlib import Path

_NAME = "PLUGIN_NAME"
_PACKAGE = "package"
_SUFFIX = ".template"


class TemplateRefused(Exception):
    """The plugin cannot be written; the message says why."""


def write_template(folder: Path, name: str) -> Path:
    """Write a plugin into a new folder of its name; return that folder.

    Raises:
        TemplateRefused: the name is no identifier of lower case, or the folder is there.
    """
    if not name.isidentifier() or iskeyword(name) or name != name.lower() or name.startswith("fhir_server"):
        raise TemplateRefused(f"{name!r} cannot be a plugin's name: take a Python identifier of lower case")
    target = folder / name
    if target.exists():
        raise TemplateRefused(f"{target} is there already")
    _write(files(__package__) / "files", target, name)
    return target


def _write(source: Traversable, target: Path, name: str) -> None:
    target.mkdir(parents=True)
    for each in source.iterdir():
        if each.is_dir():
            _write(each, target / (name if each.name == _PACKAGE else each.name), name)
        elif each.name.endswith(_SUFFIX):
            text = each.read_text(encoding="utf-8").replace(_NAME, name)
            (target / each.name.removesuffix(_SUFFIX)).write_text(text, encoding="utf-8")
