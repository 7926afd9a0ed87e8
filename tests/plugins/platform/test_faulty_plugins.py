"""A plugin that is not as it has to be stops the start, and the message names plugin, hook and line."""

from pathlib import Path

import pytest

from fhir_server.app import create_app
from fhir_server.cli import main
from fhir_server.plugins import PluginFault, find, load_plugins
from fhir_server.settings import Settings

_MANIFEST = """
from fhir_server.plugin_api import Manifest
MANIFEST = Manifest(name="{name}", version="1.0", module="{name}.plugin", summary="s", hooks={hooks!r}{more})
"""
_OPERATION = """
from fhir_server.plugin_api import Operation, Outputs, facts_of, hookimpl

async def run(ctx, call):
    return Outputs([])

@hookimpl
def register_operations():
    facts = facts_of({
        "resourceType": "OperationDefinition", "url": "http://example.org/x", "name": "X", "status": "active",
        "kind": "operation", "code": "CODE", "system": True, "type": False, "instance": False, "affectsState": False,
        "resource": [], "parameter": [],
    })
    return [Operation(facts, run, "x")]
"""


def _plugin(folder: Path, name: str, code: str, hooks: tuple[str, ...] = (), more: str = "") -> Path:
    package = folder / name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(_MANIFEST.format(name=name, hooks=hooks, more=more))
    (package / "plugin.py").write_text(code)
    return folder


def _fault(folder: Path, **settings: object) -> str:
    with pytest.raises(PluginFault) as raised:
        create_app(Settings(data_dir=folder, plugins_dir=folder, auth="none", **settings))
    return str(raised.value)


def test_a_misspelt_hook_is_named_with_the_right_one(tmp_path: Path) -> None:
    code = "from fhir_server.plugin_api import hookimpl\n@hookimpl\ndef register_operation():\n    return []\n"
    said = _fault(_plugin(tmp_path, "faulty_misspelt", code, ("register_operation",)))
    assert "faulty_misspelt.plugin:2" in said
    assert "register_operations" in said


def test_a_hook_that_the_manifest_does_not_name_is_refused_with_its_line(tmp_path: Path) -> None:
    code = "from fhir_server.plugin_api import hookimpl\n\n@hookimpl\ndef register_operations():\n    return []\n"
    said = _fault(_plugin(tmp_path, "faulty_unnamed", code))
    assert "register_operations" in said
    assert "faulty_unnamed.plugin:3" in said


def test_a_hook_that_the_manifest_names_has_to_be_there(tmp_path: Path) -> None:
    assert "lacks it" in _fault(_plugin(tmp_path, "faulty_lacking", "", ("register_operations",)))


def test_a_hook_that_throws_is_named_with_its_line(tmp_path: Path) -> None:
    code = "from fhir_server.plugin_api import hookimpl\n@hookimpl\ndef register_operations():\n    return 1 / 0\n"
    said = _fault(_plugin(tmp_path, "faulty_throwing", code, ("register_operations",)))
    assert "register_operations" in said
    assert "ZeroDivisionError" in said
    assert "plugin.py:4" in said


def test_arguments_that_a_hook_does_not_have_are_refused(tmp_path: Path) -> None:
    code = "from fhir_server.plugin_api import hookimpl\n@hookimpl\ndef register_operations(server):\n    return []\n"
    assert "faulty_arguments" in _fault(_plugin(tmp_path, "faulty_arguments", code, ("register_operations",)))


def test_a_module_that_cannot_be_imported_is_named_with_its_line(tmp_path: Path) -> None:
    said = _fault(_plugin(tmp_path, "faulty_import", "import nothing_of_this_name\n"))
    assert "faulty_import.plugin" in said
    assert "nothing_of_this_name" in said


def test_an_operation_of_the_server_is_not_replaced(tmp_path: Path) -> None:
    code = _OPERATION.replace("CODE", "reindex")
    said = _fault(_plugin(tmp_path, "faulty_clashing", code, ("register_operations",)))
    assert "$reindex" in said
    assert "that of the server" in said


def test_two_plugins_with_one_operation_are_both_named(tmp_path: Path) -> None:
    for name in ("faulty_first", "faulty_second"):
        _plugin(tmp_path, name, _OPERATION.replace("CODE", "twice"), ("register_operations",))
    said = _fault(tmp_path)
    assert "faulty_first" in said
    assert "faulty_second" in said


def test_a_scope_that_is_not_granted_is_named(tmp_path: Path) -> None:
    folder = _plugin(tmp_path, "faulty_scopes", "", more=", scopes=('system/Patient.rs', 'system/*.cruds')")
    said = _fault(folder, plugin_scopes={"faulty_scopes": ("system/Patient.rs",)})
    assert "system/*.cruds" in said


def test_a_scope_of_a_type_that_is_none_is_named(tmp_path: Path) -> None:
    said = _fault(_plugin(tmp_path, "faulty_type", "", more=", scopes=('system/Patien.rs',)"))
    assert "faulty_type" in said
    assert "system/Patien.rs" in said


def test_a_syntax_error_is_named_with_its_line(tmp_path: Path) -> None:
    said = _fault(_plugin(tmp_path, "faulty_syntax", "one = 1\nx = (\n"))
    assert "faulty_syntax/plugin.py:2" in said
    assert "importlib" not in said


def test_the_command_finds_what_would_answer_in_place_of_the_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = _OPERATION.replace("CODE", "meta")
    folder = _plugin(tmp_path, "faulty_meta", code, ("register_operations",))
    assert main(["plugins", "check", "--plugins-dir", str(folder)]) == 1
    assert "$meta" in capsys.readouterr().err


def test_a_plugin_for_another_api_is_refused(tmp_path: Path) -> None:
    assert ">=7" in _fault(_plugin(tmp_path, "faulty_api", "", more=", api='>=7'"))


def test_settings_that_do_not_fit_are_named(tmp_path: Path) -> None:
    folder = _plugin(tmp_path, "faulty_settings", "")
    assert "colour" in _fault(folder, plugins={"faulty_settings": {"colour": "red"}})
    assert "nobody" in _fault(folder, plugins={"nobody": {}})


def test_a_plugin_without_its_packages_is_unavailable_and_says_how_to_get_them(tmp_path: Path) -> None:
    _plugin(
        tmp_path, "faulty_packages", "import nothing_of_this_name\n", more=", packages=('nothing-of-this-name>=2',)"
    )
    plugins = load_plugins(Settings(data_dir=tmp_path, plugins_dir=tmp_path))
    found = next(each for each in plugins.unavailable if each.manifest.name == "faulty_packages")
    assert found.remedy == "pip install 'nothing-of-this-name>=2'"
    said = _fault(tmp_path, plugins_enabled=("faulty_packages",))
    assert "pip install" in said


def test_a_plugin_that_needs_one_that_is_unavailable_is_unavailable_too(tmp_path: Path) -> None:
    more = ", packages=('nothing-of-this-name>=2',), provides=('lamp',)"
    _plugin(tmp_path, "faulty_provider", "", more=more)
    _plugin(tmp_path, "faulty_user", "", more=", requires=('lamp',)")
    plugins = load_plugins(Settings(data_dir=tmp_path, plugins_dir=tmp_path))
    assert {"faulty_provider", "faulty_user"} <= {each.manifest.name for each in plugins.unavailable}


def test_a_service_that_nobody_provides_is_named(tmp_path: Path) -> None:
    assert "lamp" in _fault(_plugin(tmp_path, "faulty_requires", "", more=", requires=('lamp',)"))


def test_two_plugins_of_one_name_are_refused(tmp_path: Path) -> None:
    folder = _plugin(tmp_path, "faulty_double", "")
    other = _plugin(tmp_path, "faulty_other", "")
    (other / "faulty_other" / "__init__.py").write_text((folder / "faulty_double" / "__init__.py").read_text())
    with pytest.raises(PluginFault, match="faulty_double"):
        find(tmp_path)


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _plugin(tmp_path, "faulty_command", "", ("register_operations",))
    assert main(["plugins", "check", "--plugins-dir", str(folder)]) == 1
    assert "faulty_command" in capsys.readouterr().err


def test_the_command_lists_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _plugin(tmp_path, "listed", "", more=", scopes=('system/Patient.rs',), sends='nothing'")
    assert main(["plugins", "list", "--plugins-dir", str(tmp_path), "--plugins-disabled", "listed"]) == 0
    said = capsys.readouterr().out
    assert "listed 1.0  disabled" in said
    assert "system/Patient.rs" in said
