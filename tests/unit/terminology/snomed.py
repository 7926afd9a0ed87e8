"""A small snapshot in RF2: invented animals, with identifiers that are nobody's."""

from collections.abc import Iterable
from pathlib import Path

VERSION = "http://snomed.info/sct/900000000000207008/version/20260131"
CORE = "900000000000207008"
US, GB = "900000000000509007", "900000000000508004"

CODES = {
    "root": "138875005",
    "animal": "1100001",
    "dog": "1110001",
    "poodle": "1111001",
    "guide dog": "1112001",
    "cat": "1120001",
    "role": "1200001",
    "helper": "1210001",
    "part": "1300001",
    "leg": "1310001",
    "foreleg": "1311001",
    "tail": "1320001",
    "colour": "1400001",
    "red": "1410001",
    "black": "1420001",
    "attribute": "1500001",
    "has part": "1510001",
    "has front part": "1511001",
    "has colour": "1520001",
    "weight": "1530001",
    "lists": "900000000000455006",
    "pets": "1610001",
    "old": "1700001",
}
NAMES = {code: name for name, code in CODES.items()}

IS_A = (
    "animal root, role root, part root, colour root, attribute root, lists root, dog animal, cat animal, poodle dog,"
    " guide dog>dog, guide dog>helper, helper role, leg part, foreleg leg, tail part, red colour, black colour,"
    " has part>attribute, has front part>has part, has colour>attribute, weight attribute, pets lists"
)
ATTRIBUTES = (
    ("dog", "has part", "tail", 1),
    ("dog", "has colour", "black", 1),
    ("dog", "has part", "leg", 2),
    ("poodle", "has front part", "foreleg", 1),
    ("poodle", "has colour", "red", 1),
    ("poodle", "has part", "tail", 2),
    ("cat", "has colour", "black", 0),
    ("cat", "has part", "tail", 0),
)
WEIGHTS = (("dog", "#10"), ("cat", "#4.5"), ("poodle", '"light"'))
MEMBERS = ("dog", "cat", "old")

_HEADS = {
    "sct2_Concept_Snapshot_INT": "id effectiveTime active moduleId definitionStatusId",
    "sct2_Description_Snapshot-en_INT": (
        "id effectiveTime active moduleId conceptId languageCode typeId term caseSignificanceId"
    ),
    "sct2_TextDefinition_Snapshot-en_INT": (
        "id effectiveTime active moduleId conceptId languageCode typeId term caseSignificanceId"
    ),
    "sct2_Relationship_Snapshot_INT": (
        "id effectiveTime active moduleId sourceId destinationId relationshipGroup typeId characteristicTypeId"
        " modifierId"
    ),
    "sct2_RelationshipConcreteValues_Snapshot_INT": (
        "id effectiveTime active moduleId sourceId value relationshipGroup typeId characteristicTypeId modifierId"
    ),
    "der2_cRefset_LanguageSnapshot-en_INT": (
        "id effectiveTime active moduleId refsetId referencedComponentId acceptabilityId"
    ),
    "der2_Refset_SimpleSnapshot_INT": "id effectiveTime active moduleId refsetId referencedComponentId",
}


def write_snapshot(folder: Path, date: str = "20260131") -> Path:
    """Write the release into `folder/Snapshot`."""
    rows = {
        "sct2_Concept_Snapshot_INT": _concepts(),
        "sct2_Description_Snapshot-en_INT": _descriptions(),
        "sct2_TextDefinition_Snapshot-en_INT": [("71", date, "1", CORE, CODES["cat"], "en", "x", "It purrs.", "x")],
        "sct2_Relationship_Snapshot_INT": _relationships(),
        "sct2_RelationshipConcreteValues_Snapshot_INT": (
            ("8", date, "1", CORE, CODES[name], value, "0", CODES["weight"], "x", "x") for name, value in WEIGHTS
        ),
        "der2_cRefset_LanguageSnapshot-en_INT": _languages(),
        "der2_Refset_SimpleSnapshot_INT": (("u", date, "1", CORE, CODES["pets"], CODES[name]) for name in MEMBERS),
    }
    target = folder / "Snapshot" / "Terminology"
    target.mkdir(parents=True)
    for name, head in _HEADS.items():
        lines = [head.split(), *rows[name]]
        text = "".join("\t".join(line) + "\r\n" for line in lines)
        (target / f"{name}_{date}.txt").write_text(text, encoding="utf-8", newline="")
    return folder


def is_a() -> Iterable[tuple[str, str]]:
    """Yield `(child, parent)` by name."""
    for pair in IS_A.split(","):
        child, _, parent = pair.strip().partition(">" if ">" in pair else " ")
        yield child, parent


def _concepts() -> Iterable[tuple[str, ...]]:
    for name, code in CODES.items():
        status = "900000000000073002" if name == "poodle" else "900000000000074008"
        yield code, "20260131", "0" if name == "old" else "1", CORE, status


def _descriptions() -> Iterable[tuple[str, ...]]:
    for number, (name, code) in enumerate(CODES.items()):
        kinds = ((f"{name} (thing)", "900000000000003001"), (name, "900000000000013009"))
        for place, (term, type_) in enumerate(kinds):
            yield f"{number}{place}01", "20260131", "1", CORE, code, "en", type_, term, "x"
    yield "99001", "20260131", "1", CORE, CODES["dog"], "en", "900000000000013009", "Friend of man", "x"
    yield "99002", "20260131", "0", CORE, CODES["dog"], "en", "900000000000013009", "No longer said", "x"
    yield "99003", "20260131", "1", CORE, CODES["dog"], "de", "900000000000013009", "Köter", "x"
    yield "99004", "20260131", "1", CORE, CODES["colour"], "en", "900000000000013009", "color", "x"


def _languages() -> Iterable[tuple[str, ...]]:
    for number, name in enumerate(CODES):
        for refset in (US, GB):
            preferred = "900000000000549004" if (name, refset) == ("colour", US) else "900000000000548007"
            yield "u", "20260131", "1", CORE, refset, f"{number}101", preferred
    yield "u", "20260131", "1", CORE, US, "99004", "900000000000548007"
    yield "u", "20260131", "1", CORE, US, "99001", "900000000000549004"


def _relationships() -> Iterable[tuple[str, ...]]:
    for child, parent in is_a():
        yield _relationship(child, "116680003", parent, 0)
    yield _relationship("cat", "116680003", "dog", 0, active="0")
    for source, attribute, target, group in ATTRIBUTES:
        yield _relationship(source, CODES[attribute], target, group)


def _relationship(source: str, type_: str, target: str, group: int, active: str = "1") -> tuple[str, ...]:
    return "1", "20260131", active, CORE, CODES[source], CODES[target], str(group), type_, "x", "x"
