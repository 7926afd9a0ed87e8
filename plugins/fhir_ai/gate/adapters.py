"""Adapters: how a model elsewhere is asked, and where its words stand in its answer."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fhir_ai.gate.hiding import Hidden
from fhir_ai.gate.settings import Remote

_TASK: Final = (
    "You see values of a patient without a name. Answer in a few sentences for a clinician. Say what is uncertain. "
    "You support a decision and never make one."
)


@dataclass(frozen=True, slots=True)
class Adapter:
    """asks: the body of the request. reads: the words of an answer, or KeyError, TypeError, IndexError."""

    asks: Callable[[Remote, Hidden], dict[str, Any]]
    reads: Callable[[Any], str]


def _chat(remote: Remote, said: Hidden) -> dict[str, Any]:
    messages = [{"role": "system", "content": _TASK}, {"role": "user", "content": _content(said)}]
    return {"model": remote.model, "messages": messages, "temperature": 0, "stream": False}


def _content(said: Hidden) -> str:
    values = json.dumps(dict(said.values), sort_keys=True)
    return f"{values}\n{said.text}" if said.text else values


def _json(remote: Remote, said: Hidden) -> dict[str, Any]:
    return {"model": remote.model, "values": dict(said.values), "text": said.text}


def _string(found: Any) -> str:
    if not isinstance(found, str):
        raise TypeError("an answer is text")
    return found


ADAPTERS: Final[Mapping[str, Adapter]] = {
    "chat": Adapter(_chat, lambda answer: _string(answer["choices"][0]["message"]["content"])),
    "json": Adapter(_json, lambda answer: _string(answer["text"])),
}
