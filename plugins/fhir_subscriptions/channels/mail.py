"""e-mail: a short mail that something is there; the resource only where the settings allow it.

Spec: https://hl7.org/fhir/R4/subscription.html#channels
"""

from email.message import EmailMessage
from urllib.parse import urlsplit

import aiosmtplib

from fhir_subscriptions.channels import NotDelivered, Parcel
from fhir_subscriptions.settings import SubscriptionSettings
from fhir_subscriptions.wish import Wish

_PORTS = {"smtp": 25, "smtps": 465}


async def send_mail(settings: SubscriptionSettings, wish: Wish, parcel: Parcel) -> None:
    """Send one mail. Raises NotDelivered."""
    server = urlsplit(settings.smtp)
    if server.scheme not in _PORTS or not server.hostname:
        raise NotDelivered("this server sends no mail: the setting smtp names no mail server", final=True)
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = (
        settings.mail_from,
        wish.endpoint.removeprefix("mailto:"),
        parcel.subject,
    )
    mail["Message-ID"] = f"<{parcel.key.replace('/', '.')}@{server.hostname}>"
    mail.set_content("There is something new for your subscription. Sign in to read it.\n")
    if settings.mail_payload and parcel.body:
        main, _, kind = parcel.media_type.partition("/")
        mail.add_attachment(parcel.body, maintype=main, subtype=kind, filename="notification.json")
    try:
        await aiosmtplib.send(
            mail, hostname=server.hostname, port=server.port or _PORTS[server.scheme], timeout=settings.timeout,
            use_tls=server.scheme == "smtps", username=server.username,
            password=settings.smtp_password.get_secret_value() or None,
        )  # fmt: skip
    except (aiosmtplib.SMTPException, OSError) as error:
        raise NotDelivered(f"the mail server did not take it: {type(error).__name__}") from error
