"""Evaluate $extract on the coded radiology reports of Open-i, which come within the wheel of torchxrayvision.

The reports are CC BY-NC-ND 4.0: they are read where they are installed, and no line of them is kept or shown here.
Split once by hash: rules were tuned on one half, the figures are of the other.
Source: Demner-Fushman 2016 (doi:10.1093/jamia/ocv080).
"""

import argparse
import hashlib
import io
import random
import re
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from fhir_ai.text import extract

FINDINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "pleural-effusion": ("Pleural Effusion",),
    "pneumothorax": ("Pneumothorax",),
    "cardiomegaly": ("Cardiomegaly",),
    "atelectasis": ("Pulmonary Atelectasis",),
    "lung-opacity": ("Opacity",),
    "fracture": ("Fractures, Bone",),
    "consolidation": ("Consolidation",),
    "pneumonia": ("Pneumonia",),
    "pulmonary-oedema": ("Pulmonary Edema",),
    "hiatal-hernia": ("Hernia, Hiatal",),
}
_ARCHIVE: Final = "torchxrayvision/data/NLMCXR_reports.tgz"
_REPORTS: Final = 3_955
_RESAMPLES: Final = 1_000
_BEGIN: Final = "<!-- figures -->"
_END: Final = "<!-- end of figures -->"
_NEGATIONS: Final = ("no ", "without", "negative for", "free of", "not ", "absent", "clear of", "resolved")


@dataclass(frozen=True, slots=True)
class Report:
    """One report: its id, its text with headings, and the heads of what people coded."""

    id: str
    text: str
    coded: frozenset[str]

    @property
    def tuning(self) -> bool:
        """Tell whether it is of the half that rules were tuned on."""
        return hashlib.sha256(self.id.encode()).digest()[0] < 128


@dataclass(frozen=True, slots=True)
class Figures:
    """Precision, recall and F1, with an interval of F1 by resampling reports."""

    positives: int
    precision: float
    recall: float
    f1: float
    low: float
    high: float


def reports(wheel: Path) -> Iterator[Report]:
    """Read the reports out of the wheel, or out of the installed package's folder."""
    whole = zipfile.ZipFile(wheel).read(_ARCHIVE) if wheel.suffix == ".whl" else (wheel / _ARCHIVE).read_bytes()
    with tarfile.open(fileobj=io.BytesIO(whole), mode="r:gz") as tar:
        for member in tar:
            file = tar.extractfile(member) if member.name.endswith(".xml") else None
            if file is not None:
                yield _report(ElementTree.fromstring(file.read()))


def _report(root: ElementTree.Element) -> Report:
    id_ = root.find("uId")
    parts = [(each.get("Label", ""), each.text or "") for each in root.iter("AbstractText")]
    text = "\n\n".join(f"{label}: {said}" for label, said in parts if said.strip())
    coded = frozenset((each.text or "").split("/")[0].strip() for each in root.iter("major"))
    return Report("" if id_ is None else str(id_.get("id")), text, coded)


def said_of(report: Report) -> frozenset[str]:
    """Return the findings that $extract says are there, surely or probably; what is only possible does not count."""
    return frozenset(
        each.concept.name
        for each in extract(report.text)
        if each.assertion in ("present", "probable") and each.experiencer == "patient"
    )


def baseline(report: Report) -> frozenset[str]:
    """Return what a NegEx of six lines says: a finding counts unless a negation stands before it in its sentence."""
    found = set()
    body = re.sub(r"(?:COMPARISON|INDICATION): [^\n]*", "", report.text).lower()
    for sentence in re.split(r"[.\n]", body):
        for name, words in _WORDS.items():
            at = min((sentence.find(word) for word in words if word in sentence), default=-1)
            if at >= 0 and not any(negation in sentence[:at] for negation in _NEGATIONS):
                found.add(name)
    return frozenset(found)


_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "pleural-effusion": ("effusion",), "pneumothorax": ("pneumothora",),
    "cardiomegaly": ("cardiomegaly", "enlarged heart", "heart is enlarged", "enlarged cardiac"),
    "atelectasis": ("atelecta",), "lung-opacity": ("opacit", "opacif"), "fracture": ("fracture",),
    "consolidation": ("consolidat",), "pneumonia": ("pneumonia",), "pulmonary-oedema": ("edema",),
    "hiatal-hernia": ("hiatal hernia",),
}  # fmt: skip


def figures(pairs: Sequence[tuple[bool, bool]]) -> Figures:
    """Return the figures of pairs of (coded, said)."""
    rng = random.Random(20_261_122)
    whole = _scores(pairs)
    drawn = sorted(_scores(rng.choices(pairs, k=len(pairs)))[2] for _ in range(_RESAMPLES))
    low, high = drawn[int(0.025 * _RESAMPLES)], drawn[int(0.975 * _RESAMPLES)]
    return Figures(sum(coded for coded, _ in pairs), *whole, low, high)


def _scores(pairs: Sequence[tuple[bool, bool]]) -> tuple[float, float, float]:
    true = sum(coded and said for coded, said in pairs)
    coded, said = sum(each for each, _ in pairs), sum(each for _, each in pairs)
    precision, recall = true / said if said else 0.0, true / coded if coded else 0.0
    return precision, recall, 2 * true / (coded + said) if coded + said else 0.0


def table(found: Sequence[Report]) -> str:
    """Return the figures of reports as a table."""
    lines = [
        "| finding | reports with it | precision | recall | F1 (95 % interval) | F1 of NegEx in six lines |",
        "|---|---|---|---|---|---|",
    ]
    said, plain = {each.id: said_of(each) for each in found}, {each.id: baseline(each) for each in found}
    scores = []
    for name, heads in FINDINGS.items():
        ours = figures([(not each.coded.isdisjoint(heads), name in said[each.id]) for each in found])
        theirs = figures([(not each.coded.isdisjoint(heads), name in plain[each.id]) for each in found])
        scores.append((ours.f1, theirs.f1))
        lines.append(
            f"| {name.replace('-', ' ')} | {ours.positives} | {ours.precision:.3f} | {ours.recall:.3f} | "
            f"{ours.f1:.3f} ({ours.low:.3f} to {ours.high:.3f}) | {theirs.f1:.3f} |"
        )
    ours_mean, theirs_mean = (sum(column) / len(column) for column in zip(*scores, strict=True))
    return "\n".join([*lines, f"| mean of the ten | | | | {ours_mean:.3f} | {theirs_mean:.3f} |"])


def main() -> None:
    """Write the table of the half that rules were not tuned on into docs/ai/extract.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path, help="the wheel of torchxrayvision, or the folder that it is installed in")
    every = list(reports(parser.parse_args().wheel))
    if len(every) != _REPORTS:
        raise SystemExit(f"{len(every)} reports instead of {_REPORTS}: another version of the wheel")
    kept = [each for each in every if not each.tuning]
    page = Path("docs/ai/extract.md")
    before, _, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
    after = rest.partition(_END)[2]
    page.write_text(f"{before}{_BEGIN}\n{table(kept)}\n{_END}{after}", encoding="utf-8")
    print(f"{len(kept)} of {len(every)} reports\n{table(kept)}")


if __name__ == "__main__":
    main()
