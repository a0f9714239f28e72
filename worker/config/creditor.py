"""A creditor: who is owed, how debtors reach a person there, and from which addresses messages leave."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

import phonenumbers
from phonenumbers import PhoneNumberType
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, field_validator, model_validator

from channels.settings import MESSAGING_SERVICE, Variable, is_loopback
from worker import fields
from worker.config import grammar
from worker.config.frozen import Frozen
from worker.config.grammar import Rate
from worker.config.guards import PaymentsFeed, RampText
from worker.config.names import ChannelName, ProviderName, StrategyName
from worker.dunning.call_menu import ACTIONS, KEYS, Action, clashes
from worker.dunning.model import DebtorKind
from worker.fields import Country, Currency, LocaleName, Mailbox, Phone, Zone
from worker.problems import unknown

_BIC = re.compile(r"[A-Z]{6}[A-Z0-9]{2}([A-Z0-9]{3})?")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_TAG = re.compile(r"[a-z]{2,3}-[A-Z]{2}")
_VOICE = re.compile(r"[A-Za-z0-9._-]{1,60}")
_SMS_NAME = re.compile(r"[A-Za-z0-9 ]{1,11}")
_KEY_HASH = re.compile(r"sha256:[0-9a-f]{64}")

Line = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(fields.text)]
Block = Annotated[str, StringConstraints(max_length=1000), AfterValidator(fields.lines)]
Language = Literal["fr", "en"]
Domain = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63}){1,8}$", max_length=190)]

#: Nobody pays to answer, and a message that drives people to such a number is prospecting, whatever else it says.
_COSTS_EXTRA = (PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST)


def _ordinary_charge(number: str) -> str:
    if phonenumbers.number_type(phonenumbers.parse(number)) in _COSTS_EXTRA:
        raise ValueError("not a number that debtors can be asked to call: it costs more than an ordinary call")
    return number


def _key_hash(value: str) -> str:
    """Whoever writes the key itself there must not read it again in a message of ours."""
    if not _KEY_HASH.fullmatch(value):
        raise ValueError(
            "expected sha256: and 64 hexadecimal digits, as `relance api-key` prints (never the key itself)"
        )
    return value


def _endpoint(value: str) -> str:
    """An https address, or http on this very machine. Not repeated when it is wrong: some bear a token."""
    try:
        url = urlsplit(fields.web_address(value))
    except ValueError as error:
        raise ValueError(f"expected an https address (this is {error})") from None
    if url.fragment or (url.scheme != "https" and not is_loopback(url.hostname or "")):
        raise ValueError("expected an https address without a fragment (http is for this very machine)")
    return value


def _moments(value: timedelta) -> timedelta:
    """Short enough to be over long before a reservation's lease."""
    if value > timedelta(seconds=10):
        raise ValueError("longer than 10s")
    return value


KeyHash = Annotated[str, AfterValidator(_key_hash)]
Endpoint = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_endpoint)]
RateText = Annotated[Rate, BeforeValidator(lambda value: grammar.rate(str(value)))]
Moments = Annotated[timedelta, BeforeValidator(lambda value: grammar.wait(str(value))), AfterValidator(_moments)]


def _key(value: str) -> str:
    if not (len(value) == 1 and value in "0123456789"):
        raise ValueError("not a key of a phone (one digit, 0 to 9)")
    return value


def _action(value: str) -> str:
    if value not in ACTIONS:
        raise ValueError(unknown(value, "something that can be pressed for", ACTIONS))
    return value


def _tag(value: str) -> str:
    if not _TAG.fullmatch(value):
        raise ValueError("not a language with its country (such as 'fr-FR')")
    return value


def _voice(value: str) -> str:
    if not _VOICE.fullmatch(value):
        raise ValueError("not the name of a voice (such as 'Polly.Lea-Neural')")
    return value


class ContactPerson(Frozen):
    """Who answers a debtor: a name or a desk, a number to call, a mailbox, and when ("Mon-Fri 9-12", as printed)."""

    name: Line
    phone: Annotated[Phone, AfterValidator(_ordinary_charge)]
    email: Mailbox
    hours: Annotated[str, StringConstraints(max_length=100), AfterValidator(fields.text)] = ""


class EmailSender(Frozen):
    """From whom emails come, and where answers to them go (by default: to the contact person).

    `answers_at`: a domain whose mail is handed to relance; each case then has a mailbox of its own there, and what is
    written to it is taken for that debtor's answer.
    """

    sender: Mailbox
    sender_name: Line
    reply_to: Mailbox | None = None
    answers_at: Domain | None = None


class SmsSender(Frozen):
    """From whom SMS come: a number, a messaging service ("MG..."), or a name, which cannot be answered.

    A name has at most 11 letters, digits and spaces; what a country's operators refuse is in `senders.py`.
    """

    sender: str

    @field_validator("sender")
    @classmethod
    def _number_or_name(cls, value: str) -> str:
        if value.startswith("+"):
            return fields.international(value)
        if MESSAGING_SERVICE.fullmatch(value):
            return value
        if not _SMS_NAME.fullmatch(value) or not any(c.isalpha() for c in value) or value != value.strip():
            raise ValueError("not an SMS sender (a number with its country code, or at most 11 letters and digits)")
        return value


class VoiceSender(Frozen):
    """The number that calls show, and how they go.

    `keys`: what is pressed for what; those that are not named stay as shipped (`dunning/call_menu.py`). `voicemail`:
    what a recorder is told, where the provider recognises one: the neutral message, or nothing. `voices` maps a
    language tag ("fr-FR") to one of the provider's voices that speaks it.
    """

    caller_id: Phone
    keys: Mapping[Annotated[Action, BeforeValidator(_action)], Annotated[str, AfterValidator(_key)]] = Field(
        default_factory=dict
    )
    voicemail: Literal["message", "hangup"] = "message"
    voices: Mapping[Annotated[str, AfterValidator(_tag)], Annotated[str, AfterValidator(_voice)]] = Field(
        default_factory=dict
    )

    @field_validator("keys")
    @classmethod
    def _each_its_own(cls, value: Mapping[Action, str]) -> Mapping[Action, str]:
        keys = {**KEYS, **value}
        for one, other in clashes(keys):
            raise ValueError(f"{one} and {other} are asked for together, and both have the key {keys[one]}")
        return value

    @property
    def all_keys(self) -> Mapping[Action, str]:
        """The key of every action."""
        return {**KEYS, **self.keys}


class Redirect(Frozen):
    """Where everything goes instead of to the debtors (staging); what it names no address for goes to the outbox."""

    email: Mailbox | None = None
    phone: Phone | None = None

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if not (self.email or self.phone):
            raise ValueError("names neither an email nor a phone")
        return self

    def address(self, channel: str) -> str | None:
        """Where that channel's messages go; None where nothing may leave."""
        return {"email": self.email, "sms": self.phone, "voice": self.phone}.get(channel)


class Webhook(Frozen):
    """Where every event of the creditor is POSTed, and the variable of the secret that signs it."""

    url: Endpoint
    secret_env: Variable


class StillDue(Frozen):
    """Where the billing system is asked, right before each message, whether it is still due.

    `timeout` is for all of it. `on_error`: what becomes of the message when there is no answer that can be used. The
    question is signed where `secret_env` names a variable.
    """

    url: Endpoint
    timeout: Moments = timedelta(seconds=2)
    on_error: Literal["send", "hold"]
    secret_env: Variable = ""


class Creditor(Frozen):
    """Who is owed.

    `id` is the file's name and begins every case id. `address` may have several lines; `registration` is printed as it
    is ("SIREN 123 456 789"). `locale`, `timezone`, `country` and `currency` are what a debtor gets who has none;
    `locale` is the language of the creditor's own people's tasks too.
    `help` maps a language to what consumers in difficulty are told. `strategies` maps a kind of debtor to the strategy
    used when a job names none. `providers` overrides, per channel, those of channels.yaml.
    `mode: shadow`: everything runs, the outbox sends.
    `api_keys` are hashes of the keys that open the HTTP door, at most `api_rate` requests at a time.
    `payments_feed` is the guard against chasing while nobody tells of payments, `ramp` that against too many at once.
    """

    id: str = Field(pattern=r"^[a-z0-9_]{1,31}$")  # a debtor's mailbox to answer to holds it, in 64 characters in all
    name: Line
    address: Block
    registration: Line | None = None
    contact: ContactPerson
    iban: str | None = None
    bic: str | None = None
    locale: LocaleName = "fr_FR"
    timezone: Zone = "Europe/Paris"
    country: Country = "FR"
    currency: Currency = "EUR"
    help: Mapping[Language, Block] = Field(default_factory=dict)
    email: EmailSender
    sms: SmsSender | None = None
    voice: VoiceSender | None = None
    strategies: Mapping[DebtorKind, StrategyName] = Field(min_length=1)
    mode: Literal["live", "shadow"] = "live"
    redirect_to: Redirect | None = None
    providers: Mapping[ChannelName, tuple[ProviderName, ...]] = Field(default_factory=dict)
    api_keys: tuple[KeyHash, ...] = Field((), max_length=10)
    api_rate: RateText = Rate(20, timedelta(seconds=1))
    webhook: Webhook | None = None
    still_due: StillDue | None = None
    payments_feed: PaymentsFeed | None = None
    ramp: RampText | None = None

    @field_validator("iban")
    @classmethod
    def _checked_iban(cls, value: str | None) -> str | None:
        return None if value is None else iban(value)

    @field_validator("bic")
    @classmethod
    def _well_formed_bic(cls, value: str | None) -> str | None:
        if value is not None and not _BIC.fullmatch(value):
            raise ValueError("not a BIC (8 or 11 letters and digits)")
        return value


def iban(value: str) -> str:
    """An IBAN without its spaces, its check digits verified (ISO 13616, mod 97)."""
    compact = re.sub(r"\s", "", value).upper()
    if not _IBAN.fullmatch(compact):
        raise ValueError("not an IBAN")
    rearranged = compact[4:] + compact[:4]
    if int("".join(str(int(character, 36)) for character in rearranged)) % 97 != 1:
        raise ValueError("not an IBAN: its check digits are wrong")
    return compact
