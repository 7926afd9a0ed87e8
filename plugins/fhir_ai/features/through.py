"""Through: the record of a patient seen through the views, as models see it at inference."""

from collections.abc import Iterable
from typing import Any

from fhir_ai.features.definitions import Views
from fhir_ai.features.rows import Row, record_of
from fhir_ai.inputs import Finder, Record


def viewed(views: Views, finder: Finder) -> Finder:
    """Return a finder that looks in what the views give of a record alone."""
    return Finder(through(views, finder.record), finder.given)


def through(views: Views, record: Record) -> Record:
    """Return a record as the views give it."""
    resources = (record.patient, *record.observations, *record.conditions, *record.medicines)
    return record_of(rows_of(views, resources), record.now, cut=record.cut, hidden=record.hidden)


def rows_of(views: Views, resources: Iterable[Any]) -> dict[str, list[Row]]:
    """Return the rows of resources, by type."""
    found: dict[str, list[Row]] = {}
    for resource in resources:
        view = views.get(str(resource.get("resourceType")))
        if view is not None:
            found.setdefault(resource["resourceType"], []).extend(view.objects(resource))
    return found
