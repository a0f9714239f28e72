"""SendGrid's Event Webhook: what becomes of emails, in signed batches."""

import base64
import json
import secrets
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from channels.sandbox.email_activity import full_id
from channels.sandbox.journal import Message
from channels.sandbox.outside import Outside
from channels.sandbox.poster import Post, Reply, Rules
from channels.sandbox.reactions import Reaction

if TYPE_CHECKING:  # it takes its time to import, and few sandboxes sign
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

#: Events wait so long for others to share their batch (seconds), and a batch holds so many.
GATHERING, LARGEST = 0.05, 1000
#: SendGrid goes on for a day; a sandbox's receiver is back sooner or not at all.
RULES = Rules(frozenset({"ct", "rt", "3xx", "4xx", "5xx"}), (0.1, 0.2, 0.5, 1, 2, 4))
ENGAGEMENT = frozenset({"open", "click", "spamreport", "unsubscribe"})
READER = {"ip": "192.0.2.1", "useragent": "Mozilla/5.0"}
FIELDS: dict[str, dict[str, Any]] = {
    "deferred": {"response": "450 4.2.1 Try again later", "attempt": "1"},
    "delivered": {"response": "250 2.0.0 OK", "ip": "192.0.2.25", "tls": 1},
    "bounce": {
        "type": "bounce",
        "bounce_classification": "Invalid Address",
        "reason": "550 5.1.1 The mailbox does not exist",
        "status": "5.1.1",
    },
    "blocked": {
        "event": "bounce",
        "type": "blocked",
        "bounce_classification": "Mailbox Unavailable",
        "reason": "552 5.2.2 The mailbox is full",
        "status": "5.2.2",
    },
    "dropped": {"reason": "Bounced Address", "status": "5.0.0"},
    "open": {**READER, "sg_machine_open": False},
    "click": {**READER, "url": "https://creditor.example/", "url_offset": {"index": 0, "type": "text"}},
}

Event = dict[str, Any]
#: An event, with the word of ours and the message's id that the log names it by.
Told = tuple[str, str, Event]


class EventWebhook:
    """Posts to `doors.events`; several messages' events share a batch."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._lock = threading.Lock()
        self._pending: list[Told] = []
        self._made: EllipticCurvePrivateKey | None = None

    @property
    def listening(self) -> bool:
        """Is there a door to post to?"""
        return self._outside.doors.events is not None

    @property
    def public_key(self) -> str:
        """As SendGrid shows it: base64 of the DER SubjectPublicKeyInfo."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        der = self._key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(der).decode()

    def _key(self) -> "EllipticCurvePrivateKey":
        from cryptography.hazmat.primitives.asymmetric import ec

        with self._lock:
            if self._made is None:
                self._made = ec.generate_private_key(ec.SECP256R1())
            return self._made

    def tell(self, message: Message, arguments: Mapping[str, str], words: Sequence[str], reaction: Reaction) -> None:
        """Tell so many events of one email. A word told twice is one event."""
        made = {word: self._event(word, message, arguments, reaction) for word in words}
        told = [(word, message.id, made[word]) for word in words]
        if reaction.early:
            self._post(told)
            return
        with self._lock:
            self._pending.extend(told)
        self._outside.background.soon(self._flush, GATHERING)

    def _flush(self) -> None:
        with self._lock:
            batch, self._pending = self._pending[:LARGEST], self._pending[LARGEST:]
        if len(batch) == LARGEST:
            self._outside.background.soon(self._flush)
        self._post(batch)

    def _post(self, batch: Sequence[Told]) -> None:
        url = self._outside.doors.events
        if not batch or url is None or self._outside.closing.is_set():
            return
        events = ",\r\n".join(json.dumps(event) for *_, event in batch)
        body = f"[{events}]\r\n".encode()
        exchange = self._outside.journal.begin("sendgrid", "email")
        line = {"what": "events", "url": url, "said": [[sid, word] for word, sid, _ in batch]}

        def told(number: int, reply: Reply) -> None:
            exchange.write("posted", **line, number=number, **reply.fields)

        self._outside.poster.post(Post(url, body, self._signed(body)), RULES, told)

    def _signed(self, body: bytes) -> dict[str, str]:
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.hashes import SHA256

        stamp = str(self._outside.clock.unix())
        signature = self._key().sign(stamp.encode() + body, ec.ECDSA(SHA256()))
        return {
            "Content-Type": "application/json",
            "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
            "X-Twilio-Email-Event-Webhook-Timestamp": stamp,
        }

    def _event(self, word: str, message: Message, arguments: Mapping[str, str], reaction: Reaction) -> Event:
        """One event. Custom arguments lie flat beside the reserved names, which win."""
        event = {
            **arguments,
            "email": message.to,
            "timestamp": self._outside.clock.unix(),
            "event": word,
            "sg_event_id": secrets.token_urlsafe(24),
            "sg_message_id": full_id(message),
        }
        if word not in ENGAGEMENT:
            event["smtp-id"] = message.message_id or f"<{message.id}@sandbox.invalid>"
        return reaction.detailed(word, {**event, **FIELDS.get(word, {})})
