"""What is asked of $expand and $validate-code, read from the parameters.

Spec: https://hl7.org/fhir/R4/valueset-operation-expand.html
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.errors import BadRequest
from fhir_server.terminology.code_system import Json
from fhir_server.terminology.languages import ANY, Languages, read_languages
from fhir_server.terminology.members import parts, text
from fhir_server.terminology.outcomes import error
from fhir_server.terminology.versions import VersionRules


class Inputs:
    """The parameters by name; a parameter of the wrong type counts as text where that can be."""

    def __init__(self, parameters: Json) -> None:
        self._values: dict[str, list[Any]] = {}
        for item in parts(parameters, "parameter"):
            value = next((item[name] for name in item if name.startswith("value")), item.get("resource"))
            if value is not None:
                self._values.setdefault(text(item, "name"), []).append(value)

    def text(self, name: str) -> str:
        """Return a text, or "" where there is none."""
        return next(iter(self.texts(name)), "")

    def texts(self, name: str) -> list[str]:
        """Return all texts of a name."""
        return [value for value in self._values.get(name, ()) if isinstance(value, str)]

    def flag(self, name: str) -> bool | None:
        """Return a boolean; None where there is none."""
        value = next(iter(self._values.get(name, ())), None)
        if isinstance(value, bool):
            return value
        return value == "true" if value in ("true", "false") else None

    def number(self, name: str) -> int | None:
        """Return a whole number that is not negative; None where there is none.

        Raises:
            BadRequest: it is something else.
        """
        value = next(iter(self._values.get(name, ())), None)
        if isinstance(value, str) and value.isdecimal():
            value = int(value)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise BadRequest(f"the parameter {name!r} is {str(value)[:50]!r}: no whole number from 0 on")
        return value

    def object(self, name: str) -> Json | None:
        """Return a resource, Coding or CodeableConcept; None where there is none."""
        return next((value for value in self._values.get(name, ()) if isinstance(value, Mapping)), None)

    def objects(self, name: str) -> list[Json]:
        """Return all resources of a name."""
        return [value for value in self._values.get(name, ()) if isinstance(value, Mapping)]


@dataclass(frozen=True, slots=True)
class Common:
    """What both operations take."""

    url: str
    value_set: Json | None
    resources: Sequence[Json]
    supplements: Sequence[str]
    versions: VersionRules
    languages: Languages | None
    """None: nothing is said of it; the value set may say it."""
    context: str = ""

    @classmethod
    def of(cls, inputs: Inputs, accept_language: str = "") -> "Common":
        """Read them.

        Raises:
            BadRequest: broken languages.
        """
        url, version = inputs.text("url"), inputs.text("valueSetVersion")
        return cls(
            f"{url}|{version}" if version and "|" not in url else url,
            inputs.object("valueSet"),
            tuple(inputs.objects("tx-resource")),
            tuple(inputs.texts("useSupplement")),
            VersionRules(
                _pinned(inputs.texts("system-version")),
                _pinned(inputs.texts("check-system-version")),
                _pinned(inputs.texts("force-system-version")),
                _pinned(inputs.texts("default-valueset-version")),
            ),
            languages_of(inputs.text("displayLanguage") or accept_language),
            inputs.text("context"),
        )


@dataclass(frozen=True, slots=True)
class ExpandRequest:
    """A request to expand a value set; what is None was not said."""

    common: Common
    filter: str = ""
    offset: int | None = None
    count: int | None = None
    include_designations: bool | None = None
    designations: Sequence[str] = ()
    include_definition: bool | None = None
    active_only: bool | None = None
    exclude_nested: bool | None = None
    exclude_not_for_ui: bool | None = None
    exclude_post_coordinated: bool | None = None
    exclude_systems: Sequence[str] = ()
    properties: Sequence[str] = ()

    @classmethod
    def of(cls, parameters: Json, accept_language: str = "") -> "ExpandRequest":
        """Read a Parameters resource. Raises BadRequest for values that cannot be read."""
        inputs = Inputs(parameters)
        return cls(
            Common.of(inputs, accept_language),
            inputs.text("filter"),
            inputs.number("offset"),
            inputs.number("count"),
            inputs.flag("includeDesignations"),
            tuple(inputs.texts("designation")),
            inputs.flag("includeDefinition"),
            inputs.flag("activeOnly"),
            inputs.flag("excludeNested"),
            inputs.flag("excludeNotForUI"),
            inputs.flag("excludePostCoordinated"),
            tuple(inputs.texts("exclude-system")),
            tuple(inputs.texts("property")),
        )

    def with_defaults(self, said: Mapping[str, str]) -> "ExpandRequest":
        """Return the request with what the value set says where the request says nothing."""

        def flag(own: bool | None, name: str) -> bool | None:
            return said[name] == "true" if own is None and name in said else own

        return replace(
            self,
            include_designations=flag(self.include_designations, "includeDesignations"),
            include_definition=flag(self.include_definition, "includeDefinition"),
            active_only=flag(self.active_only, "activeOnly"),
            exclude_nested=flag(self.exclude_nested, "excludeNested"),
            exclude_not_for_ui=flag(self.exclude_not_for_ui, "excludeNotForUI"),
        )

    @property
    def looks_at_concepts(self) -> bool:
        """Tell whether codes are left out for what their concepts say."""
        return bool(self.active_only or self.exclude_not_for_ui)

    def key(self, name: str) -> Hashable:
        """Return what two requests of a value set have in common that have the same codes."""
        rules = self.common.versions
        pinned = (rules.default, rules.check, rules.force, rules.value_sets)
        return (
            name,
            tuple(tuple(sorted(each.items())) for each in pinned),
            self.common.supplements,
            self.filter,
            self.active_only or False,
            self.exclude_not_for_ui or False,
            self.exclude_systems,
        )


@dataclass(frozen=True, slots=True)
class ValidateRequest:
    """A request to validate a code; of `code`, `coding` and `concept` one is given.

    `system_url` is the code system that CodeSystem/$validate-code is asked of; None for one of a value set.
    """

    common: Common
    codings: Sequence[Json]
    path: str
    concept: Json | None = None
    system_url: str | None = None
    abstract: bool = True
    infer_system: bool = False
    membership_only: bool = False
    lenient_display: bool = False
    active_only: bool = False

    @classmethod
    def of(cls, parameters: Json, accept_language: str = "", *, of_system: bool = False) -> "ValidateRequest":
        """Read a Parameters resource.

        Args:
            of_system: it is CodeSystem/$validate-code, where `url` names a code system.

        Raises:
            BadRequest: there is no code, or values that cannot be read.
        """
        inputs = Inputs(parameters)
        common = Common.of(inputs, accept_language)
        concept, coding = inputs.object("codeableConcept"), inputs.object("coding")
        if concept is not None:
            codings, path = parts(concept, "coding"), "CodeableConcept"
        elif coding is not None:
            codings, path = [coding], "Coding"
        else:
            codings, path = [_coding(inputs, of_system=of_system)], ""
        system_url = common.url or (text(codings[0], "system") if codings else "")
        return cls(
            common,
            tuple(codings),
            path,
            concept,
            system_url if of_system else None,
            inputs.flag("abstract") is not False,
            inputs.flag("inferSystem") is True,
            inputs.flag("valueset-membership-only") is True,
            inputs.flag("lenient-display-validation") is True,
            inputs.flag("activeOnly") is True,
        )


def languages_of(asked: str) -> Languages | None:
    """Read languages; None where none are asked for.

    Raises:
        BadValue: they are broken.
    """
    if not asked:
        return None
    found = read_languages(asked)
    if found is None:
        text_ = f"Invalid displayLanguage: '{asked}'"
        raise error("processing", "invalid-display", "INVALID_DISPLAY_NAME", text_).raised()
    return found if found or not found.others else ANY


def _coding(inputs: Inputs, *, of_system: bool) -> Json:
    code = inputs.text("code")
    system = inputs.text("url" if of_system else "system")
    if of_system and not system:
        system = text(inputs.object("codeSystem") or {}, "url")
    known = system or inputs.flag("inferSystem")
    if not code or not known:
        looked = "coding | codeableConcept | code+system | code+inferSystem"
        raise BadRequest(f"Unable to find code to validate (looked for {looked} in parameters")
    version = inputs.text("version" if of_system else "systemVersion")
    found = {"code": code, "system": system, "version": version, "display": inputs.text("display")}
    return {name: value for name, value in found.items() if value}


def _pinned(canonicals: Iterable[str]) -> Mapping[str, str]:
    return {url: version for url, _, version in (each.partition("|") for each in canonicals) if version}
