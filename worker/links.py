"""Signed addresses that a debtor is given: the page, the one-click unsubscribe, the mailbox to answer to.

A token names a case, never a person, and says until when it is good (real time) and to which of the debtor's addresses
it went, as a digest: what was sent to an address since corrected opens nothing. It is letters that survive being
retyped and mail hosts that fold them to lower case. The signature is HMAC-SHA256 cut short to what an SMS and a
mailbox's 64 characters have room for: 65 bits, which can only be guessed online.
"""

import hmac
import secrets
from base64 import b32decode, b32encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from worker.dunning.model import Case, Debtor, address_digest

Purpose = Literal["r", "u", "m", "f"]

#: How long a link stays good, and how many letters a signature has.
GOOD_FOR = timedelta(days=180)
_LETTERS = 13
_CHANNELS = {"email": "e", "sms": "s", "voice": "v", "task": "t"}
_NAMES = {letter: channel for channel, letter in _CHANNELS.items()}
_EPOCH = date(2020, 1, 1)


class BadToken(ValueError):
    """Not one of ours, or too old: then `grant` is what it stood for."""

    def __init__(self, *, grant: "Grant | None" = None) -> None:
        super().__init__("expired" if grant else "not a token")
        self.grant = grant

    @property
    def expired(self) -> bool:
        """Was it one of ours?"""
        return self.grant is not None


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token stands for: a case, the channel the link went out on, and a digest of the address it went to."""

    case_id: str
    channel: str
    address: str

    def fits(self, debtor: Debtor) -> bool:
        """Does the debtor still have the address that the link went to?"""
        return self.address == _stamp(debtor, self.channel)


class Links:
    """Makes and reads them. `keys`: the secret and, while it is being changed, the one before."""

    def __init__(self, public_url: str, keys: Sequence[str]) -> None:
        self._public_url = public_url
        self._keys = keys

    def page(self, case: Case, channel: str, today: date) -> str:
        """The URL of the debtor's page; `today` in real time."""
        return f"{self._public_url}/r/{self.token('r', case, channel, today)}"

    def unsubscribe(self, case: Case, channel: str, today: date) -> str:
        """The URL that takes the address off that channel with one POST."""
        return f"{self._public_url}/u/{self.token('u', case, channel, today)}"

    def mailbox(self, case_id: str, domain: str) -> str:
        """The address to answer to, good as long as the case."""
        return f"r+{case_id}.{self._sign(self._keys[0], 'm', case_id)}@{domain}"

    def token(self, purpose: Purpose, case: Case, channel: str, today: date) -> str:
        """Case, channel, last day, address, signature."""
        last = (today + GOOD_FOR - _EPOCH).days
        body = f"{case.id}.{_CHANNELS[channel]}{_letters(last.to_bytes(5))[-4:]}{_stamp(case.debtor, channel)}"
        return f"{body}.{self._sign(self._keys[0], purpose, body)}"

    def read(self, purpose: Purpose, token: str, today: date) -> Grant:
        """What it stands for. Raises BadToken."""
        body, _, signature = token.lower().rpartition(".")
        self._check(purpose, body, signature)
        case_id, _, rest = body.rpartition(".")
        grant = Grant(case_id, _NAMES[rest[0]], rest[5:])
        if (today - _EPOCH).days > int.from_bytes(b32decode("AAAA" + rest[1:5].upper())):
            raise BadToken(grant=grant)
        return grant

    def number(self, token: str) -> str:
        """A number for a form on the page of that token, never given twice."""
        nonce = secrets.token_hex(8)
        return f"{nonce}.{self._sign(self._keys[0], 'f', f'{nonce}/{token.lower()}')}"

    def read_number(self, token: str, number: str) -> str:
        """What tells the form from all others. Raises BadToken for a number of another page's form, or of none."""
        nonce, _, signature = number.rpartition(".")
        self._check("f", f"{nonce}/{token.lower()}", signature)
        return nonce

    def case_of_mailbox(self, address: str) -> str:
        """The case whose mailbox that is. Raises BadToken."""
        local, _, _ = address.lower().rpartition("@")
        prefix, _, token = local.partition("+")
        case_id, _, signature = token.rpartition(".")
        if prefix != "r":
            raise BadToken
        self._check("m", case_id, signature)
        return case_id

    def _check(self, purpose: Purpose, body: str, signature: str) -> None:
        good = [
            hmac.compare_digest(self._sign(key, purpose, body).encode(), signature.encode(errors="replace"))
            for key in self._keys
        ]
        if not any(good):
            raise BadToken

    def _sign(self, key: str, purpose: Purpose, body: str) -> str:
        digest = hmac.digest(key.encode(), f"relance/{purpose}/{body}".encode(errors="replace"), "sha256")
        return _letters(digest)[:_LETTERS]


def _stamp(debtor: Debtor, channel: str) -> str:
    """Four letters that tell an address from another; a letter is sent by a person, to wherever they know."""
    return "aaaa" if channel == "task" else _letters(bytes.fromhex(address_digest(debtor, channel)))[:4]


def _letters(data: bytes) -> str:
    return b32encode(data).decode().lower()
