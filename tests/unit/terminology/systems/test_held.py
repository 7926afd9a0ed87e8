"""A held code system: hierarchy, filters, text, what it refuses, many threads and many processes."""

import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fhir_server.errors import BadValue, TooCostly
from fhir_server.terminology.code_system import Filter, Header, PropertyDefinition
from fhir_server.terminology.systems.building import build
from fhir_server.terminology.systems.held import Held
from fhir_server.terminology.systems.source import Plain, SourceConcept, SourceDesignation, SourceProperty
from fhir_server.terminology.systems.store import Store, Unusable


class Zoo(Plain):
    """Dogs and cats are mammals, a bat is a mammal and a flier; two codes lie in a circle."""

    header = Header("urn:zoo", version="1", properties=[PropertyDefinition("legs", type="integer")])
    displays = {
        "animal": "Animal",
        "mammal": "Mammal",
        "flier": "Flying animal",
        "dog": "Dog",
        "cat": "Cat (tame)",
        "bat": "Bat",
        "round": "Round",
        "about": "About",
        "stone": "Éclat of stone",
    }

    def codes(self) -> Iterator[str]:
        return iter(self.displays)

    def parents(self) -> Iterator[tuple[str, str]]:
        pairs = "mammal>animal flier>animal dog>mammal cat>mammal bat>mammal bat>flier round>about about>round dog>dog"
        yield from ((child, parent) for child, parent in (pair.split(">") for pair in pairs.split()))
        yield "dog", "unheard of"

    def concepts(self) -> Iterator[SourceConcept]:
        for code, display in self.displays.items():
            yield SourceConcept(code, display, f"What {code} means", code == "stone", code == "animal", "odd")

    def designations(self) -> Iterator[SourceDesignation]:
        yield SourceDesignation("dog", "Haushund", "de", "urn:use", "name", "Name")
        yield SourceDesignation("nobody", "Niemand", "de")

    def properties(self) -> Iterator[SourceProperty]:
        yield SourceProperty("dog", "legs", "4", "integer")
        yield SourceProperty("bat", "legs", "2", "integer")
        yield SourceProperty("dog", "eats", "cat", "code")
        yield SourceProperty("cat", "eats", "fish", "code")
        yield SourceProperty("nobody", "eats", "fish", "code")

    def members(self) -> Iterator[tuple[str, str]]:
        yield "animal", "dog"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(Zoo(), tmp_path_factory.mktemp("zoo"))


@pytest.fixture(scope="module")
def zoo(path: Path) -> Held:
    return Held(Store(path))


def test_a_concept_has_all_that_was_given(zoo: Held) -> None:
    dog = zoo.concept("dog")
    assert dog is not None
    assert (dog.display, dog.definition, dog.status) == ("Dog", "What dog means", "odd")
    (designation,) = dog.designations
    assert (designation.language, designation.value) == ("de", "Haushund")
    assert designation.use == {"system": "urn:use", "code": "name", "display": "Name"}
    assert [(each.code, each.kind, each.value) for each in dog.properties] == [
        ("eats", "valueCode", "cat"),
        ("legs", "valueInteger", 4),
    ]


def test_flags_are_kept(zoo: Held) -> None:
    stone, animal = zoo.concept("stone"), zoo.concept("animal")
    assert stone is not None
    assert animal is not None
    assert (stone.inactive, stone.abstract) == (True, False)
    assert (animal.inactive, animal.abstract) == (False, True)


def test_there_is_no_concept_for_another_code(zoo: Held) -> None:
    for code in ("Dog", "", "nobody", "dog ", "d\x00og"):
        assert zoo.concept(code) is None


def test_hierarchy(zoo: Held) -> None:
    assert zoo.parents("bat") == ["mammal", "flier"]
    assert zoo.children("animal") == ["mammal", "flier"]
    assert set(zoo.ancestors("bat")) == {"mammal", "flier", "animal"}
    assert set(zoo.descendants("flier")) == {"bat"}
    assert set(zoo.descendants("animal")) == {"mammal", "dog", "cat", "bat", "flier"}
    assert zoo.subsumes("flier", "bat")
    assert zoo.subsumes("bat", "bat")
    assert not zoo.subsumes("bat", "flier")
    assert not zoo.subsumes("animal", "nobody")
    assert zoo.parents("nobody") == list(zoo.ancestors("nobody")) == list(zoo.descendants("nobody")) == []


def test_a_circle_is_cut_once(zoo: Held) -> None:
    assert set(zoo.roots()) == {"animal", "round", "stone"}
    assert list(zoo.descendants("round")) == ["about"]
    assert list(zoo.descendants("about")) == []


def test_all_codes_come_once(zoo: Held) -> None:
    assert sorted(zoo.codes()) == sorted(Zoo.displays)
    assert zoo.count() == len(Zoo.displays)


@pytest.mark.parametrize(
    ("property_", "op", "value", "codes"),
    [
        ("concept", "is-a", "mammal", "mammal dog cat bat"),
        ("code", "is-a", "flier", "flier bat"),
        ("concept", "descendent-of", "mammal", "dog cat bat"),
        ("concept", "is-not-a", "animal", "round about stone"),
        ("concept", "generalizes", "bat", "bat mammal flier animal"),
        ("concept", "child-of", "animal", "mammal flier"),
        ("concept", "descendent-leaf", "animal", "dog cat bat"),
        ("concept", "=", "dog", "dog"),
        ("concept", "in", "dog, cat,nobody", "dog cat"),
        ("concept", "not-in", "dog,cat,animal,mammal", "flier bat round about stone"),
        ("concept", "exists", "true", " ".join(Zoo.displays)),
        ("code", "regex", "[a-c]at", "cat bat"),
        ("display", "=", "Bat", "bat"),
        ("display", "regex", ".*a.*", "animal mammal flier cat bat stone"),
        ("legs", "=", "4", "dog"),
        ("legs", "exists", "true", "dog bat"),
        ("legs", "exists", "false", "animal mammal flier cat round about stone"),
        ("legs", "regex", "[34]", "dog"),
        ("eats", "=", "cat", "dog"),
        ("eats", "=", "fish", "cat"),
        ("eats", "in", "cat,fish", "dog cat"),
        ("eats", "not-in", "cat", "animal mammal flier cat bat round about stone"),
        ("eats", "exists", "true", "dog cat"),
        ("eats", "regex", "c.*|f.*", "dog cat"),
        ("inactive", "=", "true", "stone"),
        ("notSelectable", "=", "true", "animal"),
        ("status", "=", "odd", " ".join(Zoo.displays)),
        ("definition", "regex", "What b.*", "bat"),
        ("parent", "=", "mammal", "dog cat bat"),
        ("parent", "exists", "false", "animal round stone"),
        ("child", "=", "bat", "mammal flier"),
        ("child", "exists", "true", "animal mammal flier round"),
        ("ancestor", "=", "mammal", "dog cat bat"),
        ("descendant", "=", "bat", "mammal flier animal"),
    ],
)
def test_a_filter_selects_counts_and_matches_the_same(
    zoo: Held, property_: str, op: str, value: str, codes: str
) -> None:
    filter_ = Filter(property_, op, value)
    assert set(zoo.select([filter_])) == set(codes.split())
    assert zoo.count([filter_]) == len(codes.split())
    assert {code for code in zoo.codes() if zoo.matches(code, filter_)} == set(codes.split())


def test_several_filters_hold_together(zoo: Held) -> None:
    filters = [Filter("concept", "is-a", "mammal"), Filter("legs", "exists", "true"), Filter("legs", "=", "2")]
    assert list(zoo.select(filters)) == ["bat"]


@pytest.mark.parametrize(
    ("filter_", "message"),
    [
        (Filter("concept", "is-a", "nobody"), "has no code 'nobody'"),
        (Filter("tail", "=", "long"), "has no property 'tail'"),
        (Filter("legs", "is-a", "4"), "the operator 'is-a' on 'legs' is not supported"),
        (Filter("concept", "near", "dog"), "the operator 'near'"),
        (Filter("code", "regex", "["), "the regular expression"),
    ],
)
def test_what_cannot_be_filtered_is_refused(zoo: Held, filter_: Filter, message: str) -> None:
    for call in (lambda: zoo.verify(filter_), lambda: list(zoo.select([filter_])), lambda: zoo.matches("dog", filter_)):
        with pytest.raises(BadValue, match=message):
            call()


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("dog", ["dog"]),
        ("DOG", ["dog"]),
        ("haus", ["dog"]),
        ("tame cat", ["cat"]),
        ("cat)", ["cat"]),
        ("a", ["about", "animal", "flier"]),
        ("eclat", ["stone"]),
        ("ani", ["animal", "flier"]),
        ("og", []),
        ("", [*Zoo.displays]),
        ("!?", []),
        ('dog" OR "cat', []),
    ],
)
def test_words_of_a_text_begin_words_of_a_concept(zoo: Held, text: str, codes: list[str]) -> None:
    assert (sorted if not text else list)(zoo.select([], text)) == (sorted(codes) if not text else codes)


def test_an_expression_that_takes_for_ever_is_cut_off(tmp_path: Path) -> None:
    class Long(Plain):
        header = Header("urn:long")

        def codes(self) -> Iterator[str]:
            yield "a" * 40

        def concepts(self) -> Iterator[SourceConcept]:
            yield SourceConcept("a" * 40)

    began = time.monotonic()
    with pytest.raises(TooCostly, match="takes more than"):
        list(Held(Store(build(Long(), tmp_path))).select([Filter("code", "regex", "(a|aa)+b")]))
    assert time.monotonic() - began < 60


def test_many_threads_read_at_once(zoo: Held) -> None:
    def read(number: int) -> bool:
        zoo.count([Filter("code", "in", f"dog,{number}")])
        return [code for code in zoo.codes() if zoo.concept(code) is None] == [] and zoo.subsumes("mammal", "dog")

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(400)))


def _read_in_child(zoo: Held, answers: "multiprocessing.Queue[list[str]]") -> None:
    answers.put(list(zoo.descendants("mammal")))


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_worker_reads_on(zoo: Held) -> None:
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.Queue[list[str]] = context.Queue()
    before = list(zoo.descendants("mammal"))
    child = context.Process(target=_read_in_child, args=(zoo, answers))
    child.start()
    assert answers.get(timeout=30) == before
    child.join(30)
    assert list(zoo.descendants("mammal")) == before


def test_what_is_no_file_of_a_code_system_cannot_be_opened(tmp_path: Path, path: Path) -> None:
    for name, data in (("empty", b""), ("text", b"hello" * 1_000), ("cut", path.read_bytes()[:5_000])):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(Unusable):
            Store(tmp_path / name)


def test_a_name_with_odd_characters_is_opened(tmp_path: Path, path: Path) -> None:
    odd = tmp_path / "a?b#c %41"
    odd.mkdir()
    (odd / "x.codes").write_bytes(path.read_bytes())
    assert Held(Store(odd / "x.codes")).count() == len(Zoo.displays)
