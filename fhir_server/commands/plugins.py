"""`fhir-server plugins`: what plugins there are, whether they are sound, a new one, and switching them."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fhir_server.definitions import load
from fhir_server.operations.core import core_operations
from fhir_server.plugin_host.assembly import Assembly
from fhir_server.plugin_host.switch import Switch, administration
from fhir_server.plugin_template import TemplateRefused, write_template
from fhir_server.plugins import Found, Loaded, PluginFault, find, load_plugins
from fhir_server.serving.door import FHIR_SOCKET, CommandFailed, client, need_record, open_door
from fhir_server.settings import Settings

HELP = "List, check, write, switch off and switch on plugins."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Name what is to be done, and to which plugin."""
    parser.add_argument("action", choices=("list", "check", "new", "status", "disable", "enable"))
    parser.add_argument("name", nargs="?", default="", help="of the plugin; of the folder for `new`")
    parser.add_argument("--folder", type=Path, default=Path(), help="where `new` makes the folder")


def run(settings: Settings, flags: argparse.Namespace) -> int:
    """Do it; `check` answers 1 where a plugin cannot be used."""
    if flags.action in ("new", "disable", "enable") and not flags.name:
        raise CommandFailed(f"{flags.action} which plugin?")
    if flags.action == "list":
        return _list(settings)
    if flags.action == "check":
        return _check(settings, flags.name)
    if flags.action == "new":
        return _new(flags.folder, flags.name)
    return _switch(settings, flags.action, flags.name)


def _list(settings: Settings) -> int:
    found = find(settings.plugins_dir)
    if not found:
        _say("no plugins are installed")
    for each in found:
        manifest = each.manifest
        _say(f"{manifest.name} {manifest.version}  {_state(each, settings)}  {manifest.summary}")
        past = "what Consents and security labels hide" if manifest.past_consent else ""
        for what, value in (("asks for", " ".join(manifest.scopes)), ("sends out", manifest.sends), ("sees", past)):
            if value:
                _say(f"    {what}: {value}")
        if each.missing:
            _say(f"    lacks {', '.join(each.missing)}: {each.remedy}")
    return 0


def _state(found: Found, settings: Settings) -> str:
    name = found.manifest.name
    if name in settings.plugins_disabled or not (found.manifest.enabled or name in settings.plugins_enabled):
        return "disabled"
    if found.missing:
        return "unavailable"
    return "enabled, apart" if name in settings.plugins_apart else "enabled"


def _check(settings: Settings, name: str) -> int:
    """Load all as a start would, and say what each adds."""
    try:
        assembly = Assembly(load_plugins(settings))
        assembly.definitions(load())
        assembly.operations((*core_operations(), *administration(assembly, Switch(assembly))), settings)
        assembly.collections()
        for plugin in assembly.plugins.loaded:
            if name in ("", plugin.name):
                _say(f"{plugin.name} {plugin.manifest.version} is sound: {_added(plugin) or 'adds nothing'}")
    except PluginFault as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    known = {*assembly.hosts, *(each.manifest.name for each in assembly.plugins.unavailable)}
    if name and name not in known:
        raise CommandFailed(f"there is no plugin {name}; there are {', '.join(sorted(known)) or 'none'}")
    for found in assembly.plugins.unavailable:
        _say(f"{found.manifest.name} is unavailable: it lacks {', '.join(found.missing)}: {found.remedy}")
    return 0


def _added(plugin: Loaded) -> str:
    lists = [hook for hook in plugin.manifest.hooks if hook.startswith("register_") and hook != "register_services"]
    counts = {hook.removeprefix("register_").replace("_", " "): len(plugin.register(hook) or ()) for hook in lists}
    return ", ".join(f"{count} {what}" for what, count in counts.items())


def _new(folder: Path, name: str) -> int:
    try:
        made = write_template(folder, name)
    except TemplateRefused as error:
        raise CommandFailed(str(error)) from None
    _say(f"{made} holds a plugin with one operation, one check, one consumer and one page. Try it:")
    _say(f"  pip install -e {made} pytest && pytest {made}")
    _say("  fhir-server plugins check && fhir-server serve")
    return 0


def _switch(settings: Settings, action: str, name: str) -> int:
    need_record(settings)
    with open_door(settings) as folder, client(folder / FHIR_SOCKET) as door:
        if action == "status":
            answer = door.get("/fhir/$plugin-status")
        else:
            parameters = [
                {"name": "name", "valueString": name},
                {"name": "on", "valueBoolean": action == "enable"},
            ]
            answer = door.post("/fhir/$plugin-switch", json={"resourceType": "Parameters", "parameter": parameters})
    body: Mapping[str, Any] = answer.json()
    if answer.is_error:
        raise CommandFailed("; ".join(issue.get("diagnostics", "") for issue in body.get("issue", ())))
    if action != "status":
        _say(f"{name} is switched {'on' if action == 'enable' else 'off'}")
        return 0
    for plugin in body.get("parameter", ()):
        parts = [(part["name"], part.get("valueString", part.get("valueCode", part.get("valueInteger"))))
                 for part in plugin["part"]]  # fmt: skip
        said = dict(parts)
        line = f"{said['name']} {said['version']}  {said['state']}  {said.get('faults', 0)} faults"
        _say(f"{line}  {said.get('remedy', '')}".rstrip())
        for what, value in parts:
            if what == "fault":
                _say(f"    {value}")
    return 0


def _say(text: str) -> None:
    print(text)  # noqa: T201
