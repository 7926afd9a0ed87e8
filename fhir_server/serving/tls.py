"""TLS: the context of the public door, and a certificate of our own for trials."""

import asyncio
import ipaddress
import logging
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fhir_server.alerts import Alert, raise_alert
from fhir_server.settings import Settings

_log = logging.getLogger("fhir_server.tls")

_LIFE = timedelta(days=90)
_RENEW = timedelta(days=7)
_OLDEST = {"1.3": ssl.TLSVersion.TLSv1_3, "1.2": ssl.TLSVersion.TLSv1_2}


class BadCertificate(Exception):
    """Certificate or key cannot be used; the message says why."""


def context_of(settings: Settings) -> ssl.SSLContext | None:
    """Return the context of the public door; None for plain HTTP. Raises BadCertificate."""
    if settings.tls_cert is None and settings.tls_key is None:
        return None
    if settings.tls_cert is None or settings.tls_key is None:
        raise BadCertificate("tls_cert and tls_key go together")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _OLDEST[settings.tls_minimum]
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise BadCertificate(f"{settings.tls_cert} and {settings.tls_key} cannot be used: {error}") from None
    context.set_alpn_protocols(["http/1.1"])
    return context


class Renewal:
    """Takes a renewed certificate while the server runs: who connects afterwards gets it, nobody is cut off."""

    def __init__(self, context: ssl.SSLContext, settings: Settings) -> None:
        self._context, self._settings = context, settings
        self._files = [path for path in (settings.tls_cert, settings.tls_key) if path is not None]
        self._taken = self._seen = self._marks()

    async def watch(self) -> None:
        """Look now and then whether the files are others."""
        while True:
            await asyncio.sleep(self._settings.tls_check)
            self.look()

    def look(self) -> bool:
        """Take over what has changed, if certificate and key are a pair by now; tell whether something was taken."""
        marks = self._marks()
        if marks == self._taken:
            return False
        try:
            if context_of(self._settings) is None:
                return False
            self._context.load_cert_chain(self._files[0], self._files[1])
        except (BadCertificate, OSError) as error:
            if marks != self._seen:
                raise_alert(
                    Alert("tls-certificate", "default", f"the old certificate stays in use: {error}", "tls_cert")
                )
            self._seen = marks
            return False
        self._taken = self._seen = marks
        _log.info("a renewed certificate is in use: %s", self._settings.tls_cert)
        return True

    def _marks(self) -> list[tuple[int, int, int]]:
        return [_mark(path) for path in self._files]


def _mark(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_mtime_ns, found.st_ino, found.st_size


def with_certificate(settings: Settings) -> Settings:
    """Return the settings with a certificate of our own where `tls_self_signed` asks for one."""
    if not settings.tls_self_signed or settings.tls_cert is not None:
        return settings
    folder = settings.data_dir / "tls"
    cert, key = folder / "cert.pem", folder / "key.pem"
    if not _good(cert):
        _make(cert, key, settings.host)
    return settings.model_copy(update={"tls_cert": cert, "tls_key": key, "hsts": 0})


def _good(path: Path) -> bool:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc > datetime.now(UTC) + _RENEW
    except (OSError, ValueError):
        return False


def _make(cert: Path, key: Path, host: str) -> None:
    cert.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fhir-server (self-signed, for trials)")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectAlternativeName(_names(host)), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private, hashes.SHA256())
    )
    key.touch(mode=0o600)
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    cert.write_bytes(made.public_bytes(Encoding.PEM))


def _names(host: str) -> list[x509.GeneralName]:
    names: dict[str, x509.GeneralName] = {}
    for name in ("localhost", socket.gethostname(), "127.0.0.1", "::1", host):
        try:
            names[name] = x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            names[name] = x509.DNSName(name)
    return list(names.values())
