"""Packages made by hand, whole ones and such as nobody should send."""

import gzip
import io
import json
import tarfile
from typing import Any

Json = dict[str, Any]
Files = dict[str, Any]


def manifest(name: str = "test.package", version: str = "1.0.0", **members: Any) -> Json:
    """A package.json for FHIR 4.0.1."""
    return {"name": name, "version": version, "fhirVersions": ["4.0.1"], **members}


def profile(id_: str, type_: str = "Patient", **elements: Any) -> Json:
    """A StructureDefinition with a narrative."""
    return {
        "resourceType": "StructureDefinition",
        "id": id_,
        "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">narrative</div>'},
        "url": f"http://example.org/StructureDefinition/{id_}",
        "version": "1.0.0",
        "name": id_,
        "status": "active",
        "kind": "resource",
        "abstract": False,
        "type": type_,
        "baseDefinition": f"http://hl7.org/fhir/StructureDefinition/{type_}",
        "derivation": "constraint",
        "differential": {"element": [{"id": type_, "path": type_}]},
        **elements,
    }


def value_set(id_: str, *codes: str, **elements: Any) -> Json:
    """A ValueSet that lists codes of `urn:test`."""
    include = {"system": "urn:test", "concept": [{"code": code} for code in codes]}
    return {
        "resourceType": "ValueSet",
        "id": id_,
        "url": f"http://example.org/ValueSet/{id_}",
        "version": "1.0.0",
        "status": "active",
        "compose": {"include": [include]},
        **elements,
    }


def tar(files: Files, *members: tarfile.TarInfo) -> bytes:
    """An uncompressed archive of files (bytes, or JSON to be written), then of bare entries."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for member in members:
            archive.addfile(member)
    return stream.getvalue()


def tgz(files: Files, *members: tarfile.TarInfo) -> bytes:
    """A packed archive; the same files give the same bytes."""
    return gzip.compress(tar(files, *members), 1, mtime=0)


def package(name: str = "test.package", version: str = "1.0.0", *resources: Json, **members: Any) -> bytes:
    """A whole package with these resources."""
    files = {f"package/{each['resourceType']}-{each['id']}.json": each for each in resources}
    return tgz({"package/package.json": manifest(name, version, **members), "package/.index.json": {}, **files})
