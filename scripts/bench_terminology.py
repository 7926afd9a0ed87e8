#!/usr/bin/env python3
"""How fast a large code system loads and answers: SNOMED CT in shape, invented in content.

    scripts/bench_terminology.py [--concepts 400000] [--keep FOLDER]

Writes a snapshot in RF2 (by default 400,000 concepts, 1.5 million relations of which 0.56 million are is-a), loads it
with the loader that `fhir-server terminology load snomed` uses, and measures what the terminology service asks of it.
"""

import argparse
import random
import resource
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from fhir_server.packages import core_library
from fhir_server.terminology import Terminology
from fhir_server.terminology.code_system import Filter
from fhir_server.terminology.expand import expand
from fhir_server.terminology.loaders.rf2 import URL, SnomedCt
from fhir_server.terminology.requests import ExpandRequest
from fhir_server.terminology.systems.building import build
from fhir_server.terminology.systems.folder import HeldSystems
from fhir_server.terminology.systems.held import Held
from fhir_server.terminology.systems.store import Store

IS_A = "116680003"
CORE = "900000000000207008"
DATE = "20260101"
PREFERRED = "900000000000548007"
SYLLABLES = [consonant + vowel for consonant in "bklmnrt" for vowel in "aeio"]


def main() -> None:
    """Write, load, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--concepts", type=int, default=400_000)
    parser.add_argument("--keep", type=Path, help="folder for the files, which are kept")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        release, codes = folder / "release", [code_of(number) for number in range(arguments.concepts)]
        if not release.is_dir():
            write(release, codes)
        began, processor = time.perf_counter(), time.process_time()
        path = build(SnomedCt(release), folder / "terminology")
        print(f"load: {time.perf_counter() - began:.1f} s ({time.process_time() - processor:.1f} s of processor time)")
        print(f"file: {path.stat().st_size / 1e6:.0f} MB; largest memory {memory():.0f} MB")
        began = time.perf_counter()
        held = Held(Store(path))
        print(f"open: {(time.perf_counter() - began) * 1000:.1f} ms")
        measure(held, codes)
        measure_service(Terminology(core_library(), systems=HeldSystems(path.parent)), codes)


def measure(held: Held, codes: list[str]) -> None:
    """Print the time of each question."""
    some = random.Random(1).sample(codes, 2_000)
    broad = [Filter("concept", "is-a", code) for code in codes[:20]]
    cold = [Filter("concept", "is-a", code) for code in some]
    attribute = codes[1]
    ecl = [
        Filter("constraint", "=", text)
        for text in (
            f"<< {codes[1]} MINUS << {codes[30]}",
            f"<< {codes[2]} : {attribute} = << {codes[3]}",
            f"< {codes[0]} : {{ {attribute} = << {codes[10]} }}",
            f"<! {codes[5]} OR >> {codes[-1]}",
        )
    ]
    report("concept by code", [lambda code=code: held.concept(code) for code in some])
    report("subsumes", [lambda code=code: held.subsumes(codes[3], code) for code in some])
    report("check in is-a value set, known filter", [lambda code=code: held.matches(code, broad[3]) for code in some])
    report("check in is-a value set, new filter", [lambda f=f: held.matches(codes[-1], f) for f in cold])
    report("is-a, first page of 100", [lambda f=f: page(held, f) for f in broad])
    report("is-a, first page, with displays and total", [lambda f=f: full_page(held, f) for f in broad])
    report("is-a and text, first page", [lambda f=f: page(held, f, "bak le") for f in broad])
    report(
        "text alone, first page", [lambda text=text: page(held, None, text) for text in ("b", "ka", "lomi", "nero ta")]
    )
    for filter_ in ecl:
        report(f"ECL {filter_.value}", [lambda f=filter_: page(held, f)])


def measure_service(terminology: Terminology, codes: list[str]) -> None:
    """Print the time of what operations and validation ask of the whole service."""
    some = random.Random(2).sample(codes, 2_000)
    sets = [f"{URL}?fhir_vs=isa/{code}" for code in codes[:20]]
    terminology.check(sets[0], URL, codes[1])
    report("service: check in one is-a value set", [lambda c=code: terminology.check(sets[3], URL, c) for code in some])
    report(
        "service: check in another is-a value set each time",
        [lambda c=code: terminology.check(f"{URL}?fhir_vs=isa/{c}", URL, codes[-1]) for code in some],
    )
    asked = [{"name": "count", "valueInteger": 100}]
    parameters = [{"parameter": [{"name": "url", "valueUri": url}, *asked]} for url in sets]
    requests = [ExpandRequest.of(each) for each in parameters]
    report("service: $expand, first page of 100", [lambda r=request: expand(terminology, r) for request in requests])


def page(held: Held, filter_: Filter | None, text: str = "") -> list[str]:
    """Return the first page of a selection."""
    return list(islice(held.select([filter_] if filter_ else [], text), 100))


def full_page(held: Held, filter_: Filter) -> tuple[int | None, list[str]]:
    """Return total and displays, as an expansion has them."""
    return held.count([filter_]), [held.concept(code).display for code in page(held, filter_)]


def report(what: str, calls: list[Callable[[], object]]) -> None:
    """Print median, 99th percentile and the largest of the times."""
    times = []
    for call in calls:
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1e6)
    times.sort()
    p99 = times[min(len(times) - 1, int(len(times) * 0.99))]
    print(f"{what[:60]:60} p50 {times[len(times) // 2]:>9,.0f} us   p99 {p99:>9,.0f} us   max {times[-1]:>9,.0f} us")


def memory() -> float:
    """Return the largest resident size of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def code_of(number: int) -> str:
    """Return an identifier; the check digit is invented too."""
    return f"{100_000 + number}00{number % 10}"


def write(release: Path, codes: list[str]) -> None:
    """Write a snapshot: a hierarchy of about eight children each, a third of them with more than one parent."""
    dice = random.Random(7)
    release.mkdir(parents=True)
    name = f"{DATE}.txt"
    with (release / f"sct2_Concept_Snapshot_INT_{name}").open("w") as file:
        file.write("id\teffectiveTime\tactive\tmoduleId\tdefinitionStatusId\n")
        file.writelines(f"{code}\t{DATE}\t1\t{CORE}\t900000000000074008\n" for code in codes)
    with (release / f"sct2_Relationship_Snapshot_INT_{name}").open("w") as file:
        file.write(
            "id\teffectiveTime\tactive\tmoduleId\tsourceId\tdestinationId\trelationshipGroup\ttypeId\t"
            "characteristicTypeId\tmodifierId\n"
        )
        file.writelines(relationships(dice, codes))
    with (
        (release / f"sct2_Description_Snapshot-en_INT_{name}").open("w") as file,
        (release / f"der2_cRefset_LanguageSnapshot-en_INT_{name}").open("w") as languages,
    ):
        file.write("id\teffectiveTime\tactive\tmoduleId\tconceptId\tlanguageCode\ttypeId\tterm\tcaseSignificanceId\n")
        languages.write("id\teffectiveTime\tactive\tmoduleId\trefsetId\treferencedComponentId\tacceptabilityId\n")
        for number, code in enumerate(codes):
            words = " ".join("".join(dice.choices(SYLLABLES, k=3)) for _ in range(dice.randint(2, 7)))
            kinds = ((f"{words} (finding)", "900000000000003001"), (words, "900000000000013009"))
            for place, (term, type_) in enumerate((*kinds, (f"{words} also", "900000000000013009"))):
                id_ = 10_000_000 + number * 10 + place
                file.write(f"{id_}\t{DATE}\t1\t{CORE}\t{code}\ten\t{type_}\t{term}\t900000000000448009\n")
                if place < 2:
                    languages.write(f"u\t{DATE}\t1\t{CORE}\t900000000000509007\t{id_}\t{PREFERRED}\n")


def relationships(dice: random.Random, codes: list[str]) -> list[str]:
    """Return the lines: is-a, and attributes of which most are in role groups."""
    lines = []

    def line(source: int, target: int, group: int, type_: str) -> None:
        lines.append(
            f"{len(lines)}\t{DATE}\t1\t{CORE}\t{codes[source]}\t{codes[target]}\t{group}\t{type_}\t"
            "900000000000011006\t900000000000451002\n"
        )

    for number in range(1, len(codes)):
        base = (number - 1) // 8
        near = {int(base * dice.choice((1, 1, 1, 0.97, 0.9, 0.5))) for _ in range(dice.choice((1, 1, 1, 2, 2, 3)))}
        for parent in near:
            line(number, max(0, parent), 0, IS_A)
        for place in range(dice.choice((1, 2, 2, 3, 3, 3))):
            line(number, dice.randrange(len(codes)), place // 2, codes[1 + dice.randrange(40)])
    return lines


if __name__ == "__main__":
    main()
