"""The terminology service of one tenant: code systems, value sets, checks of codes, and lists of codes for search."""

from collections.abc import Iterable, Sequence
from itertools import islice

from fhir_server.errors import TooCostly
from fhir_server.packages import Library
from fhir_server.search.query import TokenValue
from fhir_server.terminology.checks import CodeCheck, check
from fhir_server.terminology.code_lists import codes_in, known, related
from fhir_server.terminology.code_system import CodeSystem, Json, SystemProvider
from fhir_server.terminology.expansion_cache import ExpansionCache
from fhir_server.terminology.kept_expansions import KeptExpansions
from fhir_server.terminology.membership import Asked
from fhir_server.terminology.scope import Scope
from fhir_server.terminology.sources import Sources
from fhir_server.terminology.systems import standard_systems

_MOST_LISTS = 200
_MOST_CHECKS = 20_000


class Terminology:
    """The service over a library and the systems beside it; a changed library gets a new one.

    Args:
        most: codes that one answer to a search may have.
        systems: where code systems are that are no resources; or the sources themselves, of the same library.
        most_expanded: codes that one answer to $expand may have.
        kept: where large expansions are kept between runs.
    """

    def __init__(
        self,
        library: Library,
        most: int = 10_000,
        systems: SystemProvider | Sources | None = None,
        most_expanded: int = 1_000,
        kept: KeptExpansions | None = None,
    ) -> None:
        self.library = library
        if not isinstance(systems, Sources):
            systems = Sources(library, standard_systems() if systems is None else systems)
        self.sources = systems
        self._most = most
        self.most_expanded = most_expanded
        self.expansions = ExpansionCache()
        self.kept = kept
        self._scope = Scope(self.sources)
        self._checks: dict[tuple[str | None, ...], CodeCheck] = {}
        self._lists: dict[str, Sequence[TokenValue]] = {}

    def with_resources(self, resources: Sequence[Json]) -> "Terminology":
        """Return a service that knows resources of a request too (`tx-resource`), over all that this one knows."""
        if not resources:
            return self
        sources = self.sources.over(resources)
        return Terminology(sources.library, self._most, sources, self.most_expanded)

    def system(self, url: str, version: str = "") -> CodeSystem | None:
        """Return a code system by URL, or `url|version`; of several versions, where none is named, the latest."""
        return self.sources.system(url, version)

    def versions(self, url: str) -> Sequence[str]:
        """Return the versions that there are of a code system, the latest first."""
        return self.sources.versions(url)

    def check(  # these are the parts of a Coding and where it stands
        self,
        value_set: str | None,
        system: str | None,
        code: str,
        *,
        display: str | None = None,
        version: str | None = None,
        language: str | None = None,
    ) -> CodeCheck:
        """Check a code against a value set (`url` or `url|version`), or, with None, against its system alone.

        Without a system, the code may be that of any system of the value set. It never raises; what cannot be told has
        no result.
        """
        key = (value_set, system, code, display, version, language)
        found = self._checks.get(key)
        if found is None:
            asked = Asked(system, code, version or "")
            found = check(self._scope, value_set, asked, display, language or "")
            if len(self._checks) >= _MOST_CHECKS:
                self._checks.clear()
            self._checks[key] = found
        return found

    def codes_in(self, value_set: str) -> Sequence[TokenValue]:
        """Return the codes of a value set by `url`, `url|version` or `ValueSet/123`.

        A system that nobody can list is one value without code.

        Raises:
            BadValue: there is no such value set, or it needs what is not known here.
            TooCostly: it has too many codes, or needs too much work.
        """
        if value_set not in self._lists:
            if len(self._lists) >= _MOST_LISTS:
                self._lists.clear()
            self._lists[value_set] = self._limited(value_set, codes_in(self._scope, value_set))
        return self._lists[value_set]

    def ancestors(self, system: str, code: str) -> Sequence[TokenValue]:
        """Return the code itself and all that subsume it. Raises as `codes_in`."""
        held, own = known(self._scope, system, code)
        return self._limited(f"{system}|{code}", related(system, own, held.ancestors(own)))

    def descendants(self, system: str, code: str) -> Sequence[TokenValue]:
        """Return the code itself and all that it subsumes. Raises as `codes_in`."""
        held, own = known(self._scope, system, code)
        return self._limited(f"{system}|{code}", related(system, own, held.descendants(own)))

    def _limited(self, asked: str, codes: Iterable[TokenValue]) -> Sequence[TokenValue]:
        found = tuple(islice(codes, self._most + 1))
        if len(found) > self._most:
            raise TooCostly(f"{asked[:200]!r} stands for more than {self._most} codes, the most that a search takes")
        return found
