"""Put the data folders into the wheel as `fhir_server/data/`; everything else stands in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

DATA_FOLDERS = ("profiles", "terminology")


class BuildWithData(build_py):
    """Copies the data folders beside the modules; an editable install reads them where they are."""

    def run(self) -> None:
        """Copy the folders after the modules; an editable install has nothing to copy."""
        super().run()
        if self.editable_mode:
            return
        for name in DATA_FOLDERS:
            if Path(name).is_dir():
                target = Path(self.build_lib) / "fhir_server" / "data" / name
                shutil.rmtree(target, ignore_errors=True)
                shutil.copytree(name, target, ignore=shutil.ignore_patterns("built-*"))


setup(cmdclass={"build_py": BuildWithData})
