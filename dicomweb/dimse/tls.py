"""TLS for both directions: what we show, and whom we believe.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part15/sect_B.9.html (BCP 195 profiles)
"""

import ssl

from dicomweb.settings import DicomSettings


class NoTls(Exception):
    """TLS is asked for, and cannot be; the message says which setting is wrong."""


def server_tls(settings: DicomSettings) -> ssl.SSLContext:
    """Return how AEs are answered: they have to show a certificate where authorities are named. Raises NoTls."""
    if settings.dimse_tls_certificate is None:
        raise NoTls("dimse_tls_port needs dimse_tls_certificate and dimse_tls_key")
    context = _own(ssl.PROTOCOL_TLS_SERVER, settings)
    if settings.dimse_tls_ca is not None:
        context.load_verify_locations(settings.dimse_tls_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_tls(settings: DicomSettings) -> ssl.SSLContext:
    """Return how AEs are called. Raises NoTls.

    Devices have certificates of their hospital, for their title and not for their address: what counts is that one of
    the named authorities has signed them; without any named, those of this machine and the name decide.
    """
    context = _own(ssl.PROTOCOL_TLS_CLIENT, settings)
    if settings.dimse_tls_ca is None:
        context.load_default_certs()
        return context
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(settings.dimse_tls_ca)
    return context


def _own(protocol: int, settings: DicomSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.dimse_tls_certificate is not None:
        try:
            context.load_cert_chain(settings.dimse_tls_certificate, settings.dimse_tls_key)
        except (OSError, ssl.SSLError) as error:
            raise NoTls(f"dimse_tls_certificate and dimse_tls_key cannot be used: {error}") from error
    return context
