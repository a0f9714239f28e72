"""Did the provider sign this? Pure: bytes and texts in, yes or no out. What a stranger sends is a no, never an error.

Twilio signs the URL it called, without its fragment, and the form behind it; with or without the port, and with `'`
written either way. For a body that is no form the URL bears its SHA-256. SendGrid signs a time and the raw bytes.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from urllib.parse import parse_qsl

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

#: What a signature of SendGrid's may be old: it repeats a batch for a day, whether signed anew or not.
OLDEST = timedelta(hours=25)
#: How far a sender's clock may be ahead of ours.
AHEAD = timedelta(minutes=5)

#: Twilio's longest forms have a few dozen fields.
MOST_FIELDS = 1000

Form = Sequence[tuple[str, str]]

_ALGORITHMS = {"hmac_sha1": "sha1", "hmac_sha256": "sha256"}
_URL = re.compile(r"(https?)://([^/?#]*)([^#]*)(?:#.*)?", re.DOTALL)
_PORT = re.compile(r":\d*$")
_BODY_HASH = re.compile(r"[?&]bodySHA256=([^&#]*)")
_SECONDS = re.compile(r"[0-9]{1,11}")


def form_of(body: bytes) -> list[tuple[str, str]]:
    """The pairs of a form, blank ones included; none of one with more than anybody would write."""
    try:
        return parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        return []


def signed_by_twilio(
    secrets: Iterable[str], url: str, content: Form | bytes, signature: str, settings: str = ""
) -> bool:
    """Did somebody who has one of the secrets sign the call of `url` with this form, or with these bytes?

    `signature` and `settings` are the headers X-Twilio-Signature and X-Twilio-Webhooks-Signature-Settings.
    """
    algorithm = _ALGORITHMS.get(_named(settings))
    if algorithm is None or not signature.isascii():
        return False
    if isinstance(content, bytes):
        if not _bears_hash(url, content):
            return False
        content = ()
    written = "".join(key + value for key, value in sorted(set(content))).encode("utf-8", "replace")
    calls = [each.encode("utf-8", "replace") + written for each in _spellings(url)]
    return any(_matches(secret, call, signature, algorithm) for secret in secrets if secret for call in calls)


def is_public_key(key: str) -> bool:
    """Can it verify what SendGrid signs?"""
    return _public_key(key) is not None


def signed_by_sendgrid(key: str, body: bytes, signature: str, timestamp: str, now: datetime) -> bool:
    """Did the owner of `key` (base64 of DER) sign these very bytes, at a time near `now` (real, aware)?"""
    public = _public_key(key)
    if public is None or not _SECONDS.fullmatch(timestamp):
        return False
    age = now.timestamp() - int(timestamp)
    if not -AHEAD.total_seconds() <= age <= OLDEST.total_seconds():
        return False
    try:
        public.verify(base64.b64decode(signature, validate=True), timestamp.encode() + body, ECDSA(SHA256()))
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def _named(settings: str) -> str:
    """The algorithm that the header names, in small letters; the older one where it names none."""
    pairs = (part.partition("=") for part in settings.split(","))
    return next((value.strip().lower() for name, _, value in pairs if name.strip() == "algorithm"), "") or "hmac_sha1"


def _bears_hash(url: str, body: bytes) -> bool:
    found = _BODY_HASH.search(url)
    return found is not None and _same(found[1], sha256(body).hexdigest())


def _spellings(url: str) -> Iterator[str]:
    """The ways in which the call of one URL may have been written when it was signed."""
    parts = _URL.fullmatch(url)
    if parts is None:
        return
    scheme, place, rest = parts.groups()
    bare = _PORT.sub("", place)
    places = dict.fromkeys([place, bare, place if bare != place else f"{bare}:{443 if scheme == 'https' else 80}"])
    for rested in dict.fromkeys([rest, rest.replace("'", "%27")]):
        for each in places:
            yield f"{scheme}://{each}{rested}"


def _matches(secret: str, call: bytes, signature: str, algorithm: str) -> bool:
    return _same(signature, base64.b64encode(hmac.digest(secret.encode("utf-8", "replace"), call, algorithm)).decode())


def _same(given: str, expected: str) -> bool:
    """In constant time."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


@lru_cache(maxsize=8)
def _public_key(key: str) -> EllipticCurvePublicKey | None:
    try:
        public = load_der_public_key(base64.b64decode(key, validate=True))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    if isinstance(public, EllipticCurvePublicKey) and isinstance(public.curve, SECP256R1):
        return public
    return None
