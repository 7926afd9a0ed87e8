"""docs/dicom_dimse.md says what is there."""

import re
import tomllib
from pathlib import Path

from dicomweb.dimse.settings import DimseSettings
from dicomweb.dimse.table import read_table
from dicomweb.ups.settings import UpsSettings

PAGE = (Path(__file__).parents[4] / "docs" / "dicom_dimse.md").read_text()


def test_the_settings_that_the_page_names_are_there() -> None:
    known = {*DimseSettings.model_fields, *UpsSettings.model_fields}
    assert set(re.findall(r"`((?:dimse|ups)_[a-z_]+)", PAGE)) <= known


def test_the_table_on_the_page_can_be_used(tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    table = "".join(block for block in blocks if "[[" in block)
    rows = '[[ae]]\ntitle = "OLDPACS"\nhost = "10.0.0.9"\nport = 104\nclient = "old"\n'
    (tmp_path / "aes.toml").write_text(table + rows)
    found = read_table(tmp_path / "aes.toml")
    assert [ae.title for ae in found.ae] == ["CT1", "WS1", "OLDPACS"]
    assert [(rule.to, rule.commit) for rule in found.forward] == [("WS1", True)]
    for block in blocks:
        tomllib.loads(block)
