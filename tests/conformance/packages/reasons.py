"""Why some resources of the IG packages are not valid: each reason is a fault of the package, not of the validator."""

import re
from dataclasses import dataclass

from tests.conformance.packages.run import Validated


@dataclass(frozen=True, slots=True)
class Reason:
    """Resources whose file name matches, and errors whose text matches, are explained."""

    names: str
    errors: str
    text: str

    def explains(self, validated: Validated, error: str) -> bool:
        """Tell whether this is the reason of an error."""
        return bool(re.search(self.names, validated.title) and re.search(self.errors, error))


REASONS = (
    Reason(
        r"us-core-6\.1\.0/Bundle-66c8856b|us-core-6\.1\.0/Bundle-c887e62f|ips-1\.1\.0/Bundle-",
        r"the link '#[A-Za-z]+_[^']+' does not lead to anything",
        "narratives link to anchors (`#Patient_2b90...`) that no narrative of the Bundle has",
    ),
    Reason(
        r"us-core-6\.1\.0/Bundle-(66c8856b|docref-example-2)",
        r"the fullUrl .* must end in the resource's type and id",
        "an entry's fullUrl ends in another id than its resource has",
    ),
    Reason(
        r"us-core-6\.1\.0/CapabilityStatement-us-core-server",
        r"the link '#summary-of-must-support-references-between-profiles'",
        "a link to a heading of the web page, which the narrative does not have",
    ),
    Reason(
        r"us-core-6\.1\.0/CodeSystem-us-core-documentreference-category",
        r"count is 2, but there are 1 concepts",
        "count says 2, there is one concept, and content is complete",
    ),
    Reason(
        r"ips-1\.1\.0/ConceptMap-absence",
        r"is a code system, not a value set",
        "a ConceptMap names code systems where R4 asks for value sets",
    ),
    Reason(
        r"davinci-pas-2\.2\.1/OperationDefinition-Claim-(inquiry|submit)",
        r"opd-3",
        "targetProfile on parameters of type Bundle, which R4's opd-3 allows on references alone",
    ),
    Reason(
        r"davinci-pas-2\.2\.1/ImplementationGuide-",
        r"'(Requirements|ActorDefinition|SubscriptionTopic)' in .* is not a resource type",
        "refers to resources of types that R5 brought",
    ),
)


def unexplained(validated: Validated) -> list[str]:
    """Return the errors that no reason explains."""
    errors = [f"{', '.join(issue.expression)}: {issue.diagnostics}" for issue in validated.errors]
    return [error for error in errors if not any(reason.explains(validated, error) for reason in REASONS)]
