"""Sign the shipped models with a key that is made for it and thrown away; the server trusts its public half.

Usage: python -m scripts.training.sign
"""

import json
from pathlib import Path

from fhir_ai.models.package import SIGNATURE, package_in
from fhir_ai.models.signing import key_id, new_key, sign

MODELS = Path(__file__).resolve().parents[2] / "plugins" / "fhir_ai" / "models"


def sign_all(root: Path = MODELS) -> str:
    """Sign the models in the folders of `root`, write the public key beside them, return its id."""
    private, public = new_key()
    for path in sorted(root.glob("*/manifest.json")):
        sign_folder(path.parent, private)
    (root / "release.json").write_text(json.dumps({"key": public}) + "\n", encoding="utf-8")
    return key_id(public)


def sign_folder(folder: Path, private: str) -> None:
    """Write the signature of one folder."""
    package = package_in(folder)
    signature = sign(package.said(package.content()), private)
    text = json.dumps({"algorithm": "Ed25519", "key": signature.key, "value": signature.value}, indent=1)
    (folder / SIGNATURE).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    print(f"signed with the key {sign_all()}")
