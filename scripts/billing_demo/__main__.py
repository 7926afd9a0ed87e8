"""Plays the example: `python -m scripts.billing_demo`; names of scenarios play these alone."""

import importlib
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from fhir_server.testing.server import serving
from scripts.billing_demo.stage import Stage

ORDER = ("lagos", "kenya", "medicare")


def main(names: list[str]) -> int:
    """Play; return the exit status."""
    there = [each for each in ORDER if (Path(__file__).parent / f"{each}.py").exists()]
    scenarios = [importlib.import_module(f"scripts.billing_demo.{name}") for name in names or there]
    with ExitStack() as stack:
        settings: dict[str, Any] = {"provider": "Organization/clinic"}
        for scenario in scenarios:
            for name, value in stack.enter_context(scenario.fakes()).items():
                settings[name] = {**settings.get(name, {}), **value} if isinstance(value, dict) else value
        stage = Stage(stack.enter_context(serving(real_time=True, plugins={"fhir_billing": settings})))
        for scenario in scenarios:
            scenario.run(stage)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
