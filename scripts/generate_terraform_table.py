"""Write the table that tests hold deploy/terraform to: what its providers know of the types that stand there.

`python -m scripts.generate_terraform_table PACKAGE...`: folders of the npm packages @cdktf/provider-aws and
@cdktf/provider-mongodbatlas, unpacked; their file `.jsii` describes each type, as made from the provider's schema.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from tests.unit.deploy.terraform import FOLDERS, TABLE, stated

Types = dict[str, Any]


def main(packages: list[str]) -> None:
    """Write the table."""
    versions, types = {}, {}
    for package in packages:
        told = json.loads((Path(package) / "package.json").read_text())["cdktf"]["provider"]
        versions[told["name"].split("/", 1)[1]] = told["version"]
        types.update(json.loads((Path(package) / ".jsii").read_text())["types"])
    wanted = sorted({(each.data, each.type) for folder in FOLDERS for each in stated(folder)})
    table = {("data." if data else "") + type_: _entry(types, type_, data=data) for data, type_ in wanted}
    TABLE.write_text(json.dumps({"providers": versions, "types": table}, indent=1, sort_keys=True) + "\n")


def _entry(types: Types, type_: str, *, data: bool) -> dict[str, Any]:
    provider, _, rest = type_.partition("_")
    place = _camel(f"data_{type_}" if data else rest)
    named = f"@cdktf/provider-{provider}.{place}.{place[0].upper()}{place[1:]}"
    # a name that another class has already has an A behind it
    name = next(each for each in (named, f"{named}A") if types.get(each, {}).get("kind") == "class")
    entry = _shape(types, f"{named}Config" if f"{named}Config" in types else f"{name}Config")
    read = {_snake(each["name"]) for each in types[name].get("properties", ()) if not each["name"].endswith("Input")}
    return {**entry, "attributes": sorted(read | {"id"})}


def _shape(types: Types, name: str) -> dict[str, Any]:
    """Return the arguments and blocks of a struct, those inside them too."""
    arguments, blocks, required = [], {}, []
    for each in types[name].get("properties", ()):
        snake = _snake(each["name"])
        inner = re.findall(rf"{re.escape(name.split('.')[0])}\.\w+\.\w+", json.dumps(each["type"]))
        if inner:
            blocks[snake] = _shape(types, inner[0])
        else:
            arguments.append(snake)
        if not each.get("optional"):
            required.append(snake)
    return {"arguments": sorted(arguments), "blocks": blocks, "required": sorted(required)}


def _camel(snake: str) -> str:
    head, *rest = snake.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def _snake(camel: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", lambda found: f"_{found[1].lower()}", camel)


if __name__ == "__main__":
    main(sys.argv[1:])
