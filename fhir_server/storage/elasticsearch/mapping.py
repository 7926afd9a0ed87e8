"""What an index of Elasticsearch looks like: names, settings and fields, under a version number.

A tenant's index is asked by its alias, `PREFIX.TENANT`; behind it is `PREFIX.TENANT.vMAPPING.NUMBER`. A point stands in
no name of a tenant, so no tenant's index is another's.
"""

from typing import Any, Final

from fhir_server.settings import Settings

VERSION: Final = 1
"""Of the fields below: another one means that every index is built anew, while the old one answers."""
COMPATIBLE: Final = frozenset({1})
"""Versions of indexes that the queries of this release can ask, and its documents be put into."""

META: Final = "meta"
"""The document that says how far the index came."""

KEPT: Final = 31.0
"""Seconds for which a deleted document is kept in the files, for replicas that are being made."""

_KEYWORD: Final = {"type": "keyword"}
_LONG: Final = {"type": "long"}
_WORDS: Final = {"type": "text", "analyzer": "whitespace", "norms": False}


def alias(prefix: str, tenant: str) -> str:
    """Return the name under which a tenant's index is asked."""
    return f"{prefix}.{tenant}"


def physical(prefix: str, tenant: str, number: int) -> str:
    """Return the name of an index itself."""
    return f"{alias(prefix, tenant)}.v{VERSION}.{number:06d}"


def number_of(name: str) -> int:
    """Return the number of an index."""
    return int(name.rpartition(".")[2])


def body(settings: Settings) -> dict[str, Any]:
    """Return settings and fields of a new index.

    Deleted documents can be taken out of the files (`expunge_deletes_allowed`) once no replica needs them; that one
    was deleted is remembered for an hour, so that no write that was on its way brings it back (`gc_deletes`).
    """
    return {
        "settings": {
            "number_of_shards": settings.elasticsearch_shards,
            "auto_expand_replicas": f"0-{settings.elasticsearch_replicas}"
            if settings.elasticsearch_replicas
            else False,
            "number_of_replicas": 0,
            "refresh_interval": -1,
            "gc_deletes": "1h",
            "merge.policy.expunge_deletes_allowed": 0,
            "mapping.total_fields.limit": 20_000,
            "max_result_window": 10_000,
        },
        "mappings": {"dynamic": False, "properties": _properties(), "dynamic_templates": _templates()},
    }


def _properties() -> dict[str, Any]:
    """k: tokens, references, URIs, presence. s: strings. y: URIs. x: words of `:text`. g: pairs and triples of letters.
    w: all words, v: those of the narrative. x and to: commits from which to which it was current."""
    names = ("t", "i", "k", "s", "y", "g", "a")
    return {
        **dict.fromkeys(names, _KEYWORD),
        **dict.fromkeys(("x", "to", "until", "u", "pid"), _LONG),
        "w": _WORDS,
        "v": _WORDS,
        "loose": {"type": "boolean"},
        **{name: {"type": "object", "dynamic": True} for name in ("d", "n", "q", "c", "p", "zn", "zs")},
    }


def _templates() -> list[dict[str, Any]]:
    unsearched = {"index": False, "doc_values": True}
    kinds: dict[str, dict[str, Any]] = {
        "d": _LONG,
        "n": {"type": "double"},
        "q": {"type": "double"},
        "c": {"type": "double"},
        "zn": {"type": "double", **unsearched},
        "zs": {"type": "keyword", **unsearched},
    }
    found: list[dict[str, Any]] = [
        {name: {"path_match": f"{name}.*.*", "match_mapping_type": "*", "mapping": kind}}
        for name, kind in kinds.items()
    ]
    point = {"type": "geo_point", "ignore_malformed": True}
    return [*found, {"p": {"path_match": "p.*", "match_mapping_type": "*", "mapping": point}}]
