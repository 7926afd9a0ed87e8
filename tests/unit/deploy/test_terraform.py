"""Terraform: what stands in deploy/terraform is known to its providers, joined up, and gives little away.

Neither Terraform nor its providers are run here. The table was made from the providers' schemas by
scripts/generate_terraform_table.py.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.unit.deploy.terraform import (
    FOLDERS,
    ROOT,
    TABLE,
    Stated,
    bare,
    expressions,
    faults,
    named,
    read,
    read_attributes,
    stated,
    text_of,
)

KNOWN: dict[str, Any] = json.loads(TABLE.read_text())["types"]
BUILT_IN = {"source", "count", "for_each", "providers", "depends_on", "version"}
each_folder = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))


def known_of(each: Stated) -> dict[str, Any]:
    """Return what the provider knows of a type."""
    found: dict[str, Any] = KNOWN[("data." if each.data else "") + each.type]
    return found


@each_folder
def test_providers_know_each_resource_argument_and_block(folder: Path) -> None:
    assert [fault for each in stated(folder) for fault in faults(each.body, known_of(each), each.address)] == []


@each_folder
def test_what_is_read_is_stated_and_has_that_attribute(folder: Path) -> None:
    there = {each.address: each for each in stated(folder)}
    for address, attribute in read_attributes(folder):
        assert address in there
        assert not attribute or attribute in known_of(there[address])["attributes"], f"{address}.{attribute}"


@each_folder
def test_variables_and_locals_are_declared_and_used(folder: Path) -> None:
    text = text_of(folder)
    declared = {bare(name) for block in read(folder).get("locals", ()) for name in block if not name.startswith("__")}
    assert set(re.findall(r"\blocal\.(\w+)", text)) == declared
    assert set(re.findall(r"\bvar\.(\w+)", text)) == named(folder, "variable").keys()
    for name, body in named(folder, "variable").items():
        assert {"type", "description"} <= body.keys(), name


@each_folder
def test_modules_get_what_they_ask_for_and_are_asked_for_what_they_give(folder: Path) -> None:
    text = text_of(folder)
    for name, body in named(folder, "module").items():
        source = (folder / bare(body["source"])).resolve()
        asked = named(source, "variable")
        given = body.keys() - BUILT_IN - {key for key in body if key.startswith("__")}
        assert given <= asked.keys(), f"{name} takes no {given - asked.keys()}"
        assert {each for each, variable in asked.items() if "default" not in variable} <= given, name
        assert set(re.findall(rf"\bmodule\.{name}\.(\w+)", text)) <= named(source, "output").keys()
    assert set(re.findall(r"\bmodule\.(\w+)", text)) == named(folder, "module").keys()


@each_folder
def test_versions_are_pinned_and_no_secret_or_account_stands_there(folder: Path) -> None:
    (settings,) = read(folder)["terraform"]
    assert bare(settings["required_version"]).endswith("< 2.0.0")
    (providers,) = settings["required_providers"]
    assert all(bare(each["version"]).startswith("~> ") for key, each in providers.items() if not key.startswith("__"))
    assert not re.search(r"\b\d{12}\b|AKIA|-----BEGIN", text_of(folder))
    for name, body in named(folder, "variable").items():
        if re.search("token|password|secret$", name):
            assert body["sensitive"] is True
            assert "default" not in body


def test_both_regions_are_alike() -> None:
    primary, secondary = ROOT / "regions/primary", ROOT / "regions/secondary"
    assert named(primary, "variable").keys() == named(secondary, "variable").keys()
    assert named(primary, "module") == named(secondary, "module")
    for name in ("region", "name", "cidr"):
        assert named(primary, "variable")[name]["default"] != named(secondary, "variable")[name]["default"]


def test_archives_are_locked_and_closed_and_keys_turn() -> None:
    archive = {each.type: each.body for each in stated(ROOT / "modules/archive") if each.name == "this"}
    (rule,) = archive["aws_s3_bucket_object_lock_configuration"]["rule"]
    assert bare(rule["default_retention"][0]["mode"]) == "COMPLIANCE"
    assert archive["aws_s3_bucket"]["object_lock_enabled"] is True
    closed = archive["aws_s3_bucket_public_access_block"]
    assert all(closed[name] is True for name in known_of(Stated("aws_s3_bucket_public_access_block", "", {}, False))
               ["arguments"] if name.startswith(("block_", "ignore_", "restrict_")))  # fmt: skip
    (key,) = [each.body for each in stated(ROOT / "modules/keys") if each.type == "aws_kms_key"]
    assert key["enable_key_rotation"] is True


def test_pods_may_not_remove_from_archives_nor_do_anything_everywhere() -> None:
    documents = [each.body for each in stated(ROOT / "modules/identity") if each.type == "aws_iam_policy_document"]
    statements = [statement for body in documents for statement in body["statement"]]
    assert len(statements) > 5
    for statement in statements:
        actions = {bare(each) for each in statement["actions"]}
        if "s3:DeleteObject" in actions:  # without a version: it marks, and what is locked stays
            assert "var.bucket_arns.backups" in str(statement["resources"]) and len(statement["resources"]) == 1
            actions.remove("s3:DeleteObject")
        assert not [
            each for each in actions if "*" in each or "Delete" in each or "Bypass" in each or "PutBucket" in each
        ]
        assert '"*"' not in list(expressions(statement.get("resources", [])))


def test_a_policy_that_trusts_pods_names_one_service_account() -> None:
    (trust,) = [each.body for each in stated(ROOT / "modules/identity") if each.name == "trust"]
    tests = [(bare(each["test"]), each["variable"]) for each in trust["statement"][0]["condition"]]
    assert [test for test, _ in tests] == ["StringEquals", "StringEquals"]
    assert "sub" in tests[0][1]


def test_what_a_provider_does_not_know_is_found() -> None:
    known = known_of(Stated("aws_s3_bucket_versioning", "", {}, False))
    wrong = {"buckets": '"b"', "versioning_configuration": [{"state": '"Enabled"', "__is_block__": True}]}
    assert list(faults(wrong, known, "x")) == [
        "x has no buckets", "x.versioning_configuration has no state",
        "x.versioning_configuration lacks status", "x lacks bucket",
    ]  # fmt: skip
