"""Typed views of resources, by fhir.resources (R4B): attributes and their types, for reading alone.

R4 has no models there; R4B's fit nearly all of it. Writing goes by dicts or `client.patch`: a round trip through the
models would make 1.2 of 1.20.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fhir_server.errors import InvalidResource


class ReadOnly:
    """A model that can be read and not changed; lists are tuples, and what is below is read-only too."""

    __slots__ = ("_model",)

    def __init__(self, model: Any) -> None:
        object.__setattr__(self, "_model", model)

    def __getattr__(self, name: str) -> Any:
        return _view(getattr(self._model, name))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name} cannot be set: typed resources are for reading; write dicts or a patch")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{name} cannot be removed: typed resources are for reading")

    def __iter__(self) -> Iterator[str]:
        return iter(type(self._model).model_fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ReadOnly) and bool(self._model == other._model)

    def __hash__(self) -> int:
        return id(self._model)

    def __repr__(self) -> str:
        return f"<{type(self._model).__name__}, read-only>"


def _view(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_view, value))
    return ReadOnly(value) if hasattr(type(value), "model_fields") else value


def typed(resource: Mapping[str, Any]) -> Any:
    """Return a typed, read-only view of a resource: `typed(patient).name[0].family`.

    Raises:
        InvalidResource: R4B's model of its type does not take it.
        RuntimeError: fhir.resources is not installed (`pip install 'fhir-server[models]'`).
    """
    try:
        from fhir.resources.R4B import get_fhir_model_class
    except ImportError:
        raise RuntimeError("typed resources need fhir.resources: pip install 'fhir-server[models]'") from None
    try:
        model = get_fhir_model_class(str(resource.get("resourceType")))
        return ReadOnly(model.model_validate(_plain(resource)))
    except (ValueError, LookupError, TypeError) as error:
        raise InvalidResource(
            f"no typed view: {type(error).__name__}", expression=str(resource.get("resourceType"))
        ) from error


def _plain(value: Any) -> Any:
    """Return JSON without what pydantic minds: a mapping that is no dict."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(each) for each in value]
    return value
