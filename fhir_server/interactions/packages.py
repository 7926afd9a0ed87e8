"""The IG packages of one tenant, as operations see them."""

from collections.abc import Sequence
from dataclasses import dataclass

from fhir_server.interactions.tenant import Tenant
from fhir_server.interactions.tenants import Tenants
from fhir_server.packages import Package
from fhir_server.packages.installed import Installed


@dataclass(frozen=True, slots=True)
class TenantPackages:
    """`context.Packages` of one tenant."""

    tenants: Tenants
    tenant: Tenant

    @property
    def all(self) -> Sequence[Package]:
        """All that are in force: those of the tenant, then those of the installation that it has not replaced."""
        own = {package.id: package for package in self.tenant.packages}
        return [*own.values(), *(package for package in self.tenants.conformance.packages if package.id not in own)]

    def removable(self, package: Package) -> bool:
        """Tell whether the tenant installed it."""
        return package in self.tenant.packages

    async def install(self, data: bytes, *, replace: bool) -> Installed:
        """Install a .tgz; raises PackageError or AlreadyInstalled."""
        return await self.tenants.install(self.tenant, data, replace=replace)

    async def uninstall(self, name: str) -> bool:
        """Remove `name#version`; tell whether it was installed."""
        return await self.tenants.uninstall(self.tenant, name)
