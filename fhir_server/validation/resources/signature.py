"""Bundle.signature: a JSON Web Signature is verified against the certificate that it brings.

Whom a certificate belongs to, and whether to trust it, is not judged here.

Spec: https://hl7.org/fhir/R4/signatures.html, https://hl7.org/fhir/R4/json.html#canonical
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from fhir_server.model.json import encode
from fhir_server.validation.place import Place
from fhir_server.validation.resources.values import child, text
from fhir_server.validation.run import Run
from fhir_server.validation.structure.primitives import shorten

if TYPE_CHECKING:
    from joserfc.jwk import ECKey, RSAKey

Json = Mapping[str, Any]

_CANONICAL = "http://hl7.org/fhir/canonicalization/json"
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
_LEFT_OUT = {"": (), "#data": ("text",), "#static": ("text", "meta"), "#document": ("id", "meta")}


class Parts(NamedTuple):
    """The parts of a compact JWS; the payload is empty where the signature is detached."""

    header: Json
    protected: str
    payload: str
    signature: str


def check(bundle: Json, place: Place, run: Run) -> None:
    """Verify the signature of a Bundle, as far as it is JOSE and names a certificate."""
    signature = child(bundle, "signature")
    if text(signature, "sigFormat") != "application/jose":
        return
    parts = _parts(text(signature, "data"))
    if parts is None:
        run.warn(place, "value", "the data of the signature are no JSON Web Signature in base64")
        return
    certificates = parts.header.get("x5c")
    if not isinstance(certificates, list) or not certificates or not isinstance(certificates[0], str):
        run.warn(place, "not-found", "the signature brings no certificate, so it is not verified")
        return
    canonical = _canonical(bundle, signature, parts.header)
    if canonical is None:
        run.warn(place, "not-supported", "the signature is over a form that is not known here, so it is not verified")
        return
    _check_content(parts, canonical, place, run)
    _check_signature(parts, certificates[0], canonical, place, run)


def _parts(data: str) -> Parts | None:
    try:
        protected, payload, signature = (
            base64.b64decode("".join(data.split()), validate=True).decode("ascii").split(".")
        )
        header = json.loads(_decoded(protected))
    except (binascii.Error, ValueError, RecursionError):
        return None
    return Parts(header, protected, payload, signature) if isinstance(header, dict) else None


def _decoded(value: str) -> bytes:
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _canonical(bundle: Json, signature: Json, header: Json) -> bytes | None:
    """Return the bytes that were signed: the Bundle without its signature, members in the order of their names."""
    format_ = text(signature, "targetFormat").partition(";canonicalization=")[2]
    method = text(header, "canon") or format_ or _CANONICAL
    if not method.startswith(_CANONICAL):
        return None
    left_out = _LEFT_OUT.get(method.removeprefix(_CANONICAL))
    if left_out is None:
        return None
    return encode(_sorted({name: item for name, item in bundle.items() if name not in ("signature", *left_out)}))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def _check_content(parts: Parts, canonical: bytes, place: Place, run: Run) -> None:
    if not parts.payload:
        return
    run.warn(place, "value", "the signature has a payload of its own; it should be detached")
    try:
        same = _decoded(parts.payload) == canonical
    except ValueError:
        same = False
    if not same:
        run.error(place, "value", "what was signed is not what the Bundle holds")


def _check_signature(parts: Parts, certificate: str, canonical: bytes, place: Place, run: Run) -> None:
    # Few Bundles are signed, and the libraries take long to load.
    from joserfc import jws
    from joserfc.errors import BadSignatureError, JoseError

    try:
        key = _key(certificate)
        token = f"{parts.protected}.{parts.payload or _encoded(canonical)}.{parts.signature}"
        registry = jws.JWSRegistry(algorithms=_ALGORITHMS, strict_check_header=False)
        registry.max_header_length = registry.max_payload_length = len(token)
        jws.deserialize_compact(token, key, registry=registry)
    except BadSignatureError:
        run.error(place, "value", "the signature is not that of its certificate over this Bundle")
    except (JoseError, ValueError, TypeError) as error:
        run.warn(place, "not-supported", f"the signature is not verified: {shorten(str(error))}")
    else:
        run.inform(place, "informational", "the signature is right by the certificate that it brings")


def _key(certificate: str) -> "RSAKey | ECKey":
    """Return the public key of a certificate in base64.

    Raises:
        ValueError: it is none, or of a kind that signs nothing here.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from joserfc.jwk import ECKey, RSAKey

    public = x509.load_der_x509_certificate(base64.b64decode(certificate)).public_key()
    if isinstance(public, RSAPublicKey):
        return RSAKey.import_key(public)
    if isinstance(public, EllipticCurvePublicKey):
        return ECKey.import_key(public)
    raise ValueError("the certificate is neither of RSA nor of an elliptic curve")
