"""Calls of operations on a real server, and what they answer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.conformance.http.over_http import BASE, over_asgi

Json = dict[str, Any]


@asynccontextmanager
async def operated(folder: Path, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Start a server on an empty folder and give a client of its FHIR endpoint."""
    async with over_asgi(folder, **settings) as http:
        http.base_url = httpx.URL(f"{BASE}/")
        yield http


def parameters(**values: Any) -> Json:
    """A Parameters resource: a name gives its type after `__` (`mode__code`); a resource says it itself."""
    parts = []
    for key, value in values.items():
        name, _, type_ = key.partition("__")
        parts.append({"name": name, "resource" if type_ == "" else f"value{type_[0].upper()}{type_[1:]}": value})
    return {"resourceType": "Parameters", "parameter": parts}


def parts_of(parameter: Json) -> Json:
    """The parts of a parameter by name, their values without their types."""
    return {part["name"]: value_of(part) for part in parameter["part"]}


def value_of(part: Json) -> Any:
    """What a parameter holds."""
    return next(value for key, value in part.items() if key != "name")


def said(answer: httpx.Response) -> str:
    """What the first issue of an OperationOutcome says in words."""
    found = answer.json()
    assert found["resourceType"] == "OperationOutcome", found
    first = found["issue"][0]
    return str(first.get("diagnostics") or first["details"]["text"])
