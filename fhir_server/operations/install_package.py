"""`$install-package`, `$uninstall-package`, `$list-packages`: the IG packages of a tenant."""

import binascii
import logging
from base64 import b64decode

from fhir_server.context import Context
from fhir_server.errors import BadRequest, BadValue, Conflict, Forbidden, InvalidResource, NotFound
from fhir_server.operations.facts import own
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.outputs import Outputs, Pairs
from fhir_server.packages import Package, PackageError
from fhir_server.packages.dependencies import missing
from fhir_server.packages.installed import AlreadyInstalled

_log = logging.getLogger("fhir_server.packages")


async def _install(ctx: Context, call: Call) -> Outputs:
    """Install, and name what it depends on and does not find.

    Raises:
        Forbidden: the caller is no administrator.
        InvalidResource: the archive cannot be used; the message names the file inside.
        Conflict: other content is installed under this name and version.
    """
    _check_allowed(ctx, call)
    data = _archive(call)
    try:
        result = await ctx.packages.install(data, replace=call.inputs.one("replace", False))
    except PackageError as error:
        raise InvalidResource(f"the package cannot be used: {error}", expression="http.body") from None
    except AlreadyInstalled as error:
        raise Conflict(
            f"{error} is installed with other content; install it with replace=true, or remove it first",
            expression="http.body",
        ) from None
    package = result.package
    absent = missing(package, [*ctx.packages.all, package])
    if absent and result.outcome != "unchanged":
        _log.warning("the package %s is installed, but not what it depends on: %s", package.id, ", ".join(absent))
    return Outputs([("outcome", result.outcome), *_about(package), *(("missing", each) for each in absent)])


async def _uninstall(ctx: Context, call: Call) -> Outputs:
    """Remove, and name the packages that depended on it. Raises NotFound, Forbidden."""
    _check_allowed(ctx, call)
    name = f"{call.inputs.one('name')}#{call.inputs.one('version')}"
    before = {package.id: missing(package, ctx.packages.all) for package in ctx.packages.all}
    if not await ctx.packages.uninstall(name):
        folder = " by this tenant: it lies in a folder of the installation" if name in before else ""
        raise NotFound(f"the package {name[:200]} is not installed{folder}", expression="http.name")
    after = ctx.packages.all
    worse = [package.id for package in after if missing(package, after) != before.get(package.id)]
    return Outputs([("neededBy", each) for each in worse])


async def _list(ctx: Context, call: Call) -> Outputs:
    packages = sorted(ctx.packages.all, key=lambda package: package.id)
    return Outputs([("package", _listed(ctx, package)) for package in packages])


def _check_allowed(ctx: Context, call: Call) -> None:
    if not ctx.caller.admin:
        raise Forbidden(f"${call.request.operation} is for administrators", expression="http.url")


def _archive(call: Call) -> bytes:
    """Return the archive, which came as itself, in a Binary, or as base64 in Parameters."""
    given = [*(binary.get("data") for binary in call.inputs.many("package")), *call.inputs.many("content")]
    if len(given) != 1:
        raise BadRequest("$install-package needs one archive: as body, package or content", expression="http.body")
    try:
        return b64decode("".join(str(given[0] or "").split()), validate=True)
    except (binascii.Error, ValueError):
        raise BadValue("the archive is not base64", expression="http.body") from None


def _about(package: Package) -> Pairs:
    counts = [("resources", [("type", type_), ("count", count)]) for type_, count in package.counts().items()]
    return [("name", package.name), ("version", package.version), *_canonical(package), *counts]


def _listed(ctx: Context, package: Package) -> Pairs:
    return [
        ("name", package.name),
        ("version", package.version),
        *([("title", package.title)] if package.title else []),
        *_canonical(package),
        ("sha256", package.sha256),
        ("removable", ctx.packages.removable(package)),
        ("count", len(package.entries)),
        *(("missing", each) for each in missing(package, ctx.packages.all)),
    ]


def _canonical(package: Package) -> Pairs:
    return [("canonical", package.canonical)] if package.canonical else []


install_package = CoreOperation(
    facts=own("install-package"),
    handler=_install,
    summary="Install an implementation guide's package, given as it is or as base64; for administrators.",
)
uninstall_package = CoreOperation(
    facts=own("uninstall-package"),
    handler=_uninstall,
    summary="Remove an installed package; for administrators.",
)
list_packages = CoreOperation(
    facts=own("list-packages"),
    handler=_list,
    summary="The packages in force, with the dependencies that they miss.",
)
