"""`fhir-server privacy`: the rights of patients and retention, from the command line."""

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from fhir_server.commands.administration import out, say
from fhir_server.serving.door import CONTROL_SOCKET, FHIR_SOCKET, CommandFailed, client, need_record, open_door
from fhir_server.settings import Settings
from fhir_server.storage.sqlite.durable import copy
from fhir_server.tenancy.erasures import open_register

HELP = "Erase or export a patient, place legal holds, follow retention policies, replay erasures."
_POLL = 0.2
_NAME = "erasures.ndjson"
_OF_A_PATIENT = ("erase", "export", "hold", "release")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One action, and the patient that it is about."""
    parser.add_argument("action", choices=(*_OF_A_PATIENT, "retention", "replay"))
    parser.add_argument("patient", nargs="?", default="", help="logical id of the patient")
    parser.add_argument("--tenant", default="default", help="the tenant")
    parser.add_argument("--dry-run", action="store_true", help="erase: only tell what there is")
    parser.add_argument("--reason", default="", help="hold: why")
    parser.add_argument("--out", type=Path, default=None, help="export: file for the ZIP")
    parser.add_argument("--history", action="store_true", help="export: superseded versions too")
    parser.add_argument("--policies", type=Path, default=None, help="retention: JSON file with the policies")
    parser.add_argument("--apply", action="store_true", help="retention: do it, not only tell")
    parser.add_argument("--register", type=Path, default=None, help="replay: the register of erasures")


def run(settings: Settings, flags: argparse.Namespace) -> int:
    """Do it by the process that owns the data folder."""
    if flags.action in _OF_A_PATIENT and not flags.patient:
        raise CommandFailed(f"{flags.action} needs the id of a patient")
    need_record(settings)
    if flags.action == "replay":
        replay(settings, flags.register)
        return 0
    with open_door(settings) as folder, client(folder / FHIR_SOCKET) as door:
        if flags.action == "export":
            _export(door, flags)
        else:
            out(json.dumps(_shown(_ask(door, flags.tenant, *_call(flags))), indent=1))
    return 0


def replay(settings: Settings, register: Path | None) -> None:
    """Erase again whom a register names, in all tenants; without one, the register of the settings."""
    kept = settings.erasure_register or settings.data_dir / _NAME
    if register is not None and register.resolve() != kept.resolve():
        if kept.exists():
            raise CommandFailed(f"there is a register already: {kept}")
        copy(register, kept)
    if not kept.exists():
        say(
            f"there is no register of erasures at {kept}: who was erased after the backup may be back (--erasures FILE)"
        )
        return
    with open_door(settings) as folder:
        with client(folder / CONTROL_SOCKET) as control:
            tenants: list[str] = control.get("/status").json()["tenants"]
        with client(folder / FHIR_SOCKET) as door:
            gone = _erase_tenants(door, kept, tenants)
            for tenant in (tenant for tenant in tenants if tenant not in gone):
                found = _shown(_ask(door, tenant, "$replay-erasures", {}))
                say(f"{tenant}: {found['erased']} patients erased again, {found['entries']} in the register")


def _erase_tenants(door: httpx.Client, kept: Path, tenants: list[str]) -> list[str]:
    """Erase again the tenants that a register names; return them."""
    register = open_register(kept)
    gone = [tenant for tenant in tenants if register.tenant(tenant) in register.subjects]
    for tenant in gone:
        answer = door.post(f"/auth/admin/tenants/{tenant}/erase", json={"confirm": tenant}, timeout=None)
        if answer.is_error:
            raise CommandFailed(f"the tenant {tenant} was erased and is back: {answer.text[:300]}")
        say(f"{tenant}: the tenant was erased, and is again")
    return gone


def _call(flags: argparse.Namespace) -> tuple[str, Mapping[str, Any]]:
    if flags.action == "erase":
        return f"Patient/{flags.patient}/$erase", {"dryRun": flags.dry_run}
    if flags.action == "hold":
        return f"Patient/{flags.patient}/$legal-hold", {"action": "place", "reason": flags.reason}
    if flags.action == "release":
        return f"Patient/{flags.patient}/$legal-hold", {"action": "release"}
    policies = {"policies": flags.policies.read_text()} if flags.policies else {}
    return "$retention", {"dryRun": not flags.apply, **policies}


def _export(door: httpx.Client, flags: argparse.Namespace) -> None:
    target = flags.out or Path(f"Patient-{flags.patient}.zip")
    query = {"format": "zip", "history": str(flags.history).lower()}
    answer = door.get(f"{_root(flags.tenant)}/Patient/{flags.patient}/$export-subject", params=query)
    _need(answer)
    target.write_bytes(answer.content)
    say(f"written to {target}")


def _ask(door: httpx.Client, tenant: str, path: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Call an operation, and wait for it where it is a job."""
    answer = door.post(f"{_root(tenant)}/{path}", json=_parameters(values))
    location = answer.headers.get("content-location", "")
    while answer.status_code == httpx.codes.ACCEPTED:
        time.sleep(_POLL)
        answer = door.get(location)
    _need(answer)
    found: dict[str, Any] = answer.json()
    return found


def _parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    typed = {name: ("valueBoolean" if isinstance(value, bool) else "valueString") for name, value in values.items()}
    parts = [{"name": name, typed[name]: value} for name, value in values.items() if value != ""]
    return {"resourceType": "Parameters", **({"parameter": parts} if parts else {})}


def _shown(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outputs by name; those that stand several times as a list."""
    found: dict[str, Any] = {}
    for part in parameters.get("parameter", ()):
        value = _shown({"parameter": part["part"]}) if "part" in part else _value(part)
        if part["name"] in found:
            before = found[part["name"]]
            found[part["name"]] = [*(before if isinstance(before, list) else [before]), value]
        else:
            found[part["name"]] = value
    return found


def _value(part: Mapping[str, Any]) -> Any:
    return next((value for name, value in part.items() if name.startswith("value")), None)


def _root(tenant: str) -> str:
    return "/fhir" if tenant == "default" else f"/t/{tenant}/fhir"


def _need(answer: httpx.Response) -> None:
    if answer.is_error:
        try:
            reason = "; ".join(issue["diagnostics"] for issue in answer.json()["issue"])
        except (ValueError, KeyError, TypeError):
            reason = answer.text[:300]
        raise CommandFailed(f"the server answered {answer.status_code}: {reason}")
