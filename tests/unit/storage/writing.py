"""One write to a store, without the interactions above it."""

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body
from fhir_server.storage.base import Change, CommitResult, Method, Store


def change(type_: str, id_: str, *, text: str = "", method: Method = "PUT") -> Change:
    """A write of a resource with nothing in it but a text."""
    head = f'{{"resourceType":"{type_}","id":"{id_}","meta":{{'
    data = f'{head}}},"language":"{text}"}}'.encode()
    return Change(ResourceKey(type_, id_), method, Body(data, len(head)))


async def write(store: Store, type_: str, id_: str, *, text: str = "", method: Method = "PUT") -> CommitResult:
    """Write it."""
    return await store.commit([change(type_, id_, text=text, method=method)])
