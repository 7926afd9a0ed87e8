"""Whatever a caller asks, the answer is that of a server that never had what they may not see.

Three servers: one has the whole world, another tenant's under the same ids, and the restriction; one has what the naive
model says is visible and the same restriction; one has that and none. Reads are answered alike by all three, writes by
the first two.
"""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import pytest

from fhir_server.auth.scopes import parse_scopes
from tests.builders import bundle, entry
from tests.property.restricted_consents import Consents, consent, rule
from tests.property.restricted_sides import Trial, filled
from tests.property.restricted_urls import conditional_reads, reads, writes
from tests.property.restricted_world import Model, make_world

MANY = "RESTRICTION_SEEDS" in os.environ
SEEDS = int(os.environ.get("RESTRICTION_SEEDS", "1"))
LAB = "category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
VITAL = "category=vital-signs"
CALLERS = (
    Model("patient/*.rs", "ann"),
    Model("patient/*.cruds", "ann"),
    Model("user/*.cruds", "", ("ann",)),
    Model("user/*.rs", "", ("bob", "cas")),
    Model(f"patient/Observation.cruds?{LAB} patient/Patient.rs patient/Flag.rs", "ann"),
    Model(f"patient/Observation.rs?{VITAL} patient/Flag.cruds patient/Binary.r patient/DocumentReference.rs", "bob"),
    Model("user/Observation.cruds user/Patient.rs"),
    Model(f"user/Observation.rs?{LAB} user/List.rs user/Patient.cruds user/Condition.rs"),
    Model("patient/Patient.rs user/Encounter.rs user/Condition.cud", "cas"),
    Model(f"patient/Observation.r?{LAB} patient/Observation.s?{VITAL} patient/Patient.r patient/Condition.s", "ann"),
    Model("system/Patient.rs system/Observation.rs"),
    Model(f"patient/Observation.rs?{LAB} patient/Provenance.rs patient/Task.rs patient/Linkage.rs", "ann", half=True),
    Model("user/*.cruds", said=Consents((consent("bob", "OPTOUT"),))),
    Model("user/*.rs", said=Consents((consent("bob", "OPTIN", rule("deny", classes="Observation Encounter")),))),
    Model("system/*.cruds", said=Consents((
        consent("ann", "OPTOUT", rule("permit", rule("deny", code="1-8"), classes="Observation Patient")),
        consent("cas", "NOCONSENT"),
    ))),
    Model("patient/*.rs", "ann", said=Consents((consent("ann", "OPTIN", rule("deny", code="2-6", label="R")),),
                                               labels=frozenset("V"))),
    Model("user/*.rs", said=Consents((consent("ann", "OPTIN"), consent("bob", "OPTOUT")), permits=False)),
    Model(f"user/Observation.rs?{LAB} user/Task.rs user/Provenance.rs user/Binary.rs user/Patient.rs",
          said=Consents((consent("cas", "OPTIN", rule("deny", label="R")),), labels=frozenset("RV")), half=True),
)  # fmt: skip


def _params() -> Iterator[tuple[str, int, int]]:
    """Engine, seed, caller; without `RESTRICTION_SEEDS` each caller once, on one of the engines."""
    for seed in range(SEEDS):
        for caller in range(len(CALLERS)):
            if MANY or caller % 2 == 0:
                yield "sqlite", seed, caller
            if MANY or caller % 2 != 0:
                yield "memory", seed, caller


@pytest.fixture(params=list(_params()), ids=lambda param: "-".join(map(str, param)))
async def trial(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Trial]:
    engine, seed, caller = request.param
    dice, model = Random(f"{seed} {caller}"), CALLERS[caller]
    world = make_world(dice)
    visible = model.visible(world, "ruds")  # who may change what they may not read can tell that it is there
    async with AsyncExitStack() as stack:
        beside = make_world(Random(f"beside {seed}"))
        whole = await filled(stack, engine, tmp_path / "whole", world, model, beside)
        seen = await filled(stack, engine, tmp_path / "seen", visible, model)
        plain = await filled(stack, engine, tmp_path / "plain", visible, None)
        yield Trial(whole, seen, plain, world, visible, model, dice)


async def test_reads_are_answered_as_if_the_rest_were_not_there(trial: Trial) -> None:
    urls = list(reads(trial))
    for url in urls if MANY else trial.dice.sample(urls, len(urls) // 3):
        await trial.read("GET", url)
        if trial.dice.random() < 0.05:
            await trial.read("POST", "", bundle("batch", entry("GET", url)))


async def test_conditional_reads_tell_nothing_of_the_rest(trial: Trial) -> None:
    for url, headers in conditional_reads(trial):
        await trial.read("GET", url, **headers)


async def test_writes_are_answered_as_if_the_rest_were_not_there(trial: Trial) -> None:
    if trial.model.half:
        return
    for method, url, body, *headers in writes(trial):
        if trial.model.said is not None and (method == "PUT" or not url):
            continue  # that an id is taken can be told by who is hindered by Consents alone: docs/security.md
        await trial.write(method, url, body, **(headers[0] if headers else {}))
    # Not the whole history: who revives what was deleted gets to see what belongs to it, which one side never had.
    for url in (
        "Condition/_history?_count=1000",
        "Observation/_history?_count=1000",
        "Observation?_count=1000&_include=*",
        "Condition?_total=accurate",
    ):
        await trial.write("GET", url)


async def test_old_versions_are_seen_as_the_model_says(trial: Trial) -> None:
    readable = trial.model.visible(trial.world, "r").versions
    for key, versions in trial.world.versions.items():
        letters = parse_scopes(trial.model.scopes).letters(key.split("/")[0])
        for number, version in enumerate(versions, 1):
            answer = (await trial.whole.ask("GET", f"{key}/_history/{number}")).answer
            seen = version in readable.get(key, [])
            expected = 403 if "r" not in letters else 404 if not seen else 410 if version is None else 200
            assert answer.status == expected, (key, number, trial.model)


async def test_letters_hold_apart(trial: Trial) -> None:
    for key, versions in trial.world.versions.items():
        type_, id_ = key.split("/")
        resource = versions[-1]
        if resource is None:
            continue
        letters = parse_scopes(trial.model.scopes).letters(type_)
        read = (await trial.whole.ask("GET", key)).answer
        found = (await trial.whole.ask("GET", f"{type_}?_id={id_}&_total=accurate")).answer
        expected = 403 if "r" not in letters else 200 if trial.model.sees(trial.world, resource, "r") else 404
        assert read.status == expected, key
        if "s" in letters:
            assert found.json["total"] == int(trial.model.sees(trial.world, resource, "s")), key
        else:
            assert found.status == 403
