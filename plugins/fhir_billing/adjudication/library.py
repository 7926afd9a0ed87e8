"""Plans: all tables in force, found by plan and day of service."""

from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path

from fhir_billing.adjudication.loading import BadTable, load
from fhir_billing.adjudication.matching import Compiled
from fhir_billing.adjudication.plan import Plan

SHIPPED = Path(__file__).parent / "plans"
TESTS = ".tests.yaml"


class NoPlan(Exception):
    """No table is in force for a plan on a day."""


class Plans:
    """Tables by plan; those of one plan do not overlap in time.

    Raises:
        BadTable: two versions of a plan are in force on the same day, or of one version there are two.
    """

    def __init__(self, plans: Iterable[Plan]) -> None:
        self._by_name: dict[str, list[Compiled]] = {}
        for plan in sorted(plans, key=lambda each: (each.plan, each.effective_from)):
            versions = self._by_name.setdefault(plan.plan, [])
            if versions and versions[-1].plan.effective_to >= plan.effective_from:
                before = versions[-1].plan
                raise BadTable(f"{plan.name} begins on {plan.effective_from}, while {before.name} is still in force")
            versions.append(Compiled(plan))

    def find(self, name: str, day: date) -> Compiled:
        """Return the table of a plan for a day of service. Raises NoPlan."""
        versions = self._by_name.get(name)
        if versions is None:
            raise NoPlan(f"there is no table of rules for the plan {name[:100]}")
        for each in versions:
            if each.plan.effective_from <= day <= each.plan.effective_to:
                return each
        raise NoPlan(f"the plan {name[:100]} has no table of rules for {day}")

    def __iter__(self) -> Iterator[Plan]:
        return (each.plan for versions in self._by_name.values() for each in versions)

    def __contains__(self, name: str) -> bool:
        return name in self._by_name


def files_in(folder: Path) -> list[Path]:
    """Return the plan files of a folder, without their tests."""
    return sorted(path for path in folder.glob("*.yaml") if not path.name.endswith(TESTS))


def load_all(*folders: Path) -> Plans:
    """Load all tables of some folders. Raises BadTable."""
    return Plans(load(path) for folder in folders for path in files_in(folder))
