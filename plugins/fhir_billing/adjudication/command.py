"""The command `check-plans` as the plugin registers it; what it needs is loaded when it runs."""

import argparse
from pathlib import Path
from typing import Any

from fhir_server.plugin_api import Command


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="folder of tables (YAML)")


def _run(settings: Any, arguments: argparse.Namespace) -> int:
    from fhir_billing.adjudication.checking import check_plans

    return check_plans(settings, arguments)


COMMAND = Command("check-plans", "check tables of rules and the tests beside them", _run, _arguments)
