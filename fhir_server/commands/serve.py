"""`fhir-server serve`: run the server in the foreground."""

import argparse
import sys
from pathlib import Path

from fhir_server.auth.brands import BadBrands
from fhir_server.auth.limits import BadLimit
from fhir_server.auth.providers import BadProviders
from fhir_server.auth.roles import BadRoles
from fhir_server.serving.door import CommandFailed, need_writable
from fhir_server.serving.maintenance import AlreadyOwned, BackupRefused
from fhir_server.serving.sockets import CannotListen, is_loopback
from fhir_server.serving.supervisor import serve
from fhir_server.serving.tls import BadCertificate
from fhir_server.settings import Settings
from fhir_server.storage.base import StoreError
from fhir_server.telemetry.logs import configure

HELP = "Serve FHIR R4 over HTTP."
_REFUSALS = (
    AlreadyOwned, BackupRefused, CannotListen, BadCertificate, BadLimit, BadRoles, BadProviders, BadBrands,
)  # fmt: skip
_RED, _PLAIN = "\033[31;1m", "\033[0m"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """All its flags are settings."""


def run(settings: Settings, flags: argparse.Namespace) -> int:
    """Serve until stopped."""
    if settings.auth == "none" and not is_loopback(settings.host):
        raise CommandFailed(f"--auth none is open to everybody, so it listens on loopback only, not on {settings.host}")
    _need_folder(settings.data_dir)
    configure(settings.log_format)
    if settings.auth == "none":
        _say(f"{_RED}OPEN: --auth none lets every user of this machine read and change all data.{_PLAIN}")
    if settings.auth == "smart" and not (settings.tls_cert or settings.tls_self_signed or is_loopback(settings.host)):
        _say(f"Tokens and data go over {settings.host} unencrypted: set tls_cert and tls_key, or a proxy before it.")
    if settings.auth == "smart" and not (settings.base_url or settings.shared or is_loopback(settings.host)):
        _say(
            "Set base_url: without it links, and what tokens and assertions are for, follow the Host that is asked for."
        )
    if settings.shared and not settings.base_url:
        _say("Set base_url: nodes that share a record have to call it by one name, in tokens, links and notifications.")
    try:
        serve(settings, say=_say)
    except _REFUSALS as error:
        raise CommandFailed(str(error)) from None
    except StoreError as error:
        raise CommandFailed(f"the store in {settings.data_dir} cannot be opened: {error}") from None
    return 0


def _need_folder(folder: Path) -> None:
    """Make the data folder. Raises CommandFailed: it cannot be made, or nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandFailed(f"the data folder {folder} cannot be made: {error.strerror}; see data_dir") from None
    need_writable(folder)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201
