"""Messages and providers as the tests need them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from channels import registry
from channels.base import Attachment, Channel, Message

CONTRACTS = Path(__file__).parent.parent / "contracts"

EMAIL = Message(
    id="atelier:case-7:F-2026-0412:first_notice:email",
    attempt="atm_01HZY5",
    reference="K7F2",
    channel="email",
    to="claire.dupre@client.test",
    to_name="Société Dupré & Fils",
    sender="facturation@atelier.test",
    sender_name="Atelier Éléonore",
    reply_to="r+K7F2@parse.atelier.test",
    subject="Facture F-2026-0412 : échéance dépassée",
    text="Bonjour,\n\nNous n’avons pas reçu 1 240,00 € dus le 3 novembre.\n\n.\nCordialement,\nL’Atelier",
    html="<p>Bonjour,</p><p>Nous n’avons pas reçu 1 240,00 €.</p>",
    headers={
        "List-Unsubscribe": f"<https://relance.atelier.test/u/{'tok3n' * 30}>, <mailto:stop+K7F2@atelier.test>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    },
)
#: The smallest picture there is, and HTML that shows it.
PICTURE = Attachment(
    "code.png",
    "image/png",
    bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
        "0000000a49444154789c636000000002000148afa4710000000049454e44ae426082"
    ),
    content_id="pay.k7f2@relance",
)
ILLUSTRATED = replace(EMAIL, html=f'<p>Bonjour,</p><img alt="" src="cid:{PICTURE.content_id}">', attachments=(PICTURE,))
PDF = Attachment("Facture émise.pdf", "application/pdf", b"%PDF-1.7\n" + bytes(range(256)) * 20)
SMS = replace(
    EMAIL,
    id="atelier:case-7:F-2026-0412:first_notice:sms",
    channel="sms",
    to="+33639980011",
    sender="Atelier",
    text="Facture F-2026-0412 : 1 240,00 € étaient dus le 3 novembre. Déjà réglé ? Répondez « oui ». K7F2",
    html="",
    headers={},
    status_url="https://relance.atelier.test/twilio/status/atm_01HZY5",
)
VOICE = replace(
    SMS,
    id="atelier:case-7:F-2026-0412:first_notice:voice",
    channel="voice",
    sender="+33162000000",
    text="Bonjour, l’Atelier Éléonore a cherché à vous joindre. Merci de nous rappeler.",
    callback_url="https://relance.atelier.test/twilio/call/atm_01HZY5",
)
#: What no error and no log line may hold.
PRIVATE = ("claire", "dupr", "33639980011", "639980011", "0412", "novembre", "Atelier")

TWILIO = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "s3cret"}


def twilio(kind: str, url: str, **settings: Any) -> Channel:
    """A Twilio channel that calls `url`, impatiently unless told otherwise."""
    times = {"connect_timeout": 1.5, "read_timeout": 1.5}
    return registry.build(kind, registry.settings_for(kind, times | settings), TWILIO | {"TWILIO_BASE_URL": url})


def sendgrid(url: str, **settings: Any) -> Channel:
    """A SendGrid channel that calls `url`, impatiently unless told otherwise."""
    chosen = registry.settings_for("sendgrid_email", {"connect_timeout": 1.5, "read_timeout": 1.5} | settings)
    return registry.build("sendgrid_email", chosen, {"SENDGRID_API_KEY": "SG.key", "SENDGRID_BASE_URL": url})


def contract(name: str) -> Any:
    """One of the files of tests/contracts."""
    return json.loads((CONTRACTS / name).read_text(encoding="utf-8"))
