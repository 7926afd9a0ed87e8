"""The stored form of a resource: cut out of its bytes, it is what taking it apart gives."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.interactions.stored_body import stored_body
from fhir_server.model.json import decode, make_body
from fhir_server.model.keys import ResourceKey

KEY = ResourceKey("Patient", "new")

metas = st.dictionaries(
    st.sampled_from(["versionId", "lastUpdated", "source", "tag", "profile"]),
    st.text(max_size=5) | st.lists(st.dictionaries(st.sampled_from(["meta", "code"]), st.text(max_size=3)), max_size=2),
)
members = st.dictionaries(
    st.sampled_from(["active", "id", "text", "contained", "extension", "meta", "resourceType"]),
    metas
    | st.text(max_size=5)
    | st.lists(st.fixed_dictionaries({"meta": metas, "id": st.text(max_size=3)}), max_size=2),
)


@given(members, st.booleans(), metas | st.none(), st.randoms())
def test_cutting_gives_what_taking_apart_gives(rest, in_front, meta, dice) -> None:  # type: ignore[no-untyped-def]
    rest = {name: value for name, value in rest.items() if name not in ("meta", "resourceType")}
    resource = {**rest, **({"meta": meta} if meta is not None else {})}
    names = list(resource)
    dice.shuffle(names)
    ordered = {name: resource[name] for name in names}
    whole = {"resourceType": "Patient", **ordered} if in_front else {**ordered, "resourceType": "Patient"}
    raw = json.dumps(whole, separators=(",", ":")).encode()
    if b"\\u0000" in raw:
        return
    parsed = decode(raw)
    assert stored_body(raw, parsed, KEY) == make_body(raw, KEY)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"resourceType":"Patient"}',
        b'{"resourceType":"Patient","id":"a"}',
        b'{"resourceType":"Patient","meta":{},"id":"a"}',
        b'{"meta":{"versionId":"3","x":1.20},"resourceType":"Patient","id":"a"}',
        b'{"resourceType":"Patient","contained":[{"meta":{"versionId":"1"}}]}',
        b'{"resourceType":"Patient","meta":{"versionId":"1"},"contained":[{"meta":{"versionId":"1"}}]}',
        b'{"resourceType":"Patient","active":true,"id":"a","meta":{"lastUpdated":"z"}}',
        b'{"resourceType":"Patient","contained":[{"meta":null}]}',
        b'{"resourceType":"Patient","id":"a","meta":{"source":"\\u00e9"},"active":true}',
        b'{"resourceType":"Patient","id":"\\u0061","active":true}',
    ],
)
def test_unusual_orders_and_spellings(raw: bytes) -> None:
    body = stored_body(raw, decode(raw), KEY)
    assert body == make_body(raw, KEY)
    assert body.data.startswith(b'{"resourceType":"Patient","id":"new","meta":{')
    assert body.data[body.splice - 1 : body.splice] == b"{"


def test_the_server_owns_version_and_instant() -> None:
    raw = b'{"resourceType":"Patient","meta":{"versionId":"9","source":"s","lastUpdated":"x"},"active":true}'
    assert stored_body(raw, decode(raw), KEY).data == (
        b'{"resourceType":"Patient","id":"new","meta":{"source":"s"},"active":true}'
    )
