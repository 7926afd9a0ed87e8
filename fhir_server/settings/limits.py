"""Settings: limits of a request."""

from typing import Literal

from pydantic import Field

from fhir_server.settings.kinds import Count, Positive, Section


class Limits(Section):
    """Limits of a request."""

    max_body: Positive = Field(100_000_000, description="Largest request body, after decompression.")
    max_url: Positive = Field(16_384, description="Longest URL.")
    max_head: Positive = Field(65_536, description="Most bytes of the headers of a request.")
    max_headers: Positive = Field(200, description="Most headers of a request.")
    max_depth: Positive = Field(100, description="Deepest nesting of JSON or XML.")
    max_entries: Positive = Field(50_000, description="Most entries in a batch or transaction.")
    max_or_values: Positive = Field(5_000, description="Most comma-separated values of one search parameter.")
    max_expansion: Positive = Field(1_000, description="Most codes that one answer of $expand holds; more take pages.")
    terminology_held: Positive = Field(
        500_000,
        description="Concepts of large stored code systems that a worker holds with an index of their words; the one "
        "used last always is.",
    )
    max_ranges: Positive = Field(
        200, description="Most values of one parameter where each is a look-up: quantities, composites, trees, texts."
    )
    max_filter: Positive = Field(500, description="Most tests in one _filter.")
    max_sort: Positive = Field(10, description="Most keys of _sort.")
    max_parameters: Positive = Field(200, description="Most parameters in one search.")
    max_chain: Positive = Field(8, description="Deepest chain or _has.")
    max_includes: Positive = Field(
        10_000, description="Most included resources in one page; the page says if it was cut."
    )
    max_iterations: Positive = Field(8, description="Rounds of _include:iterate.")
    max_delete: Positive = Field(1_000, description="Most resources that one conditional delete removes.")
    conditional_delete: Literal["none", "single", "multiple"] = Field(
        "multiple", description="Whether a conditional delete may match several resources."
    )
    page_size: Positive = Field(50, description="Rows of a page when _count is absent.")
    max_page_size: Positive = Field(1_000, description="Largest _count that is honoured.")
    link_life: Positive = Field(1_800, description="How long a page link stays valid, in seconds.")
    read_timeout: Positive = Field(
        30, description="Seconds in which a client must have sent its headers, and then its body."
    )
    send_timeout: Positive = Field(60, description="Seconds after which a client that stops reading is cut off.")
    search_timeout: Positive = Field(30, description="Seconds after which a search is cut off as too costly.")
    count_by_read: Positive = Field(
        100_000, description="Most resources that $count-by reads where the database cannot count them itself."
    )
    count_by_groups: Positive = Field(10_000, description="Most groups that $count-by counts.")
    count_by_least: Count = Field(
        0, description="Smallest number that $count-by tells of a group; 0 or 1: all are told. Totals go with them."
    )
    conditional_retries: Positive = Field(
        20, description="Times that a conditional write is planned again after a conflict."
    )
    max_package: Positive = Field(1_000_000_000, description="Most bytes that an IG package unpacks to.")
    max_package_file: Positive = Field(100_000_000, description="Largest resource in an IG package.")
    max_package_files: Positive = Field(50_000, description="Most files in an IG package.")
    gzip_minimum: Positive = Field(1_024, description="Smallest response that is compressed.")
