"""`fhir-server check-plans FOLDER`: tables of rules and the tests beside them, before they are put in force."""

import argparse
import sys
from typing import Any

from pydantic import ValidationError

from fhir_billing.adjudication.library import NoPlan, load_all
from fhir_billing.adjudication.loading import BadTable
from fhir_billing.adjudication.vectors import run


def check_plans(settings: Any, arguments: argparse.Namespace) -> int:
    """Say what is wrong with the tables of a folder, and which of their tests fail; return the exit status."""
    try:
        plans = load_all(arguments.folder)
        count, faults = run(arguments.folder, plans)
    except (BadTable, NoPlan, ValidationError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for plan in plans:
        said = f"{plan.name}: {len(plan.benefits)} benefits, {len(plan.tariff)} prices, from {plan.effective_from}"
        sys.stdout.write(f"{said}\n")
    sys.stdout.write("\n".join([*faults, f"{count} tests, {len(faults)} faults\n"]))
    return 1 if faults else 0
