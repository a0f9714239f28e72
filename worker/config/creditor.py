"""A creditor: who is owed, how debtors reach a person there, and from which addresses messages leave."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from worker import fields
from worker.config.names import ChannelName, ProviderName, StrategyName
from worker.dunning.model import DebtorKind
from worker.fields import Country, Currency, LocaleName, Mailbox, Phone, Zone

#: Numbers an automated system may show as its own in France: the verified polyvalent ranges, those of two-way
#: platforms, and the special ones that cost no extra. Arcep 2018-0881, 2019-0954, 2022-1583, checked 2026-11.
FRENCH_CALLER_IDS = (
    "0162", "0163", "0270", "0271", "0377", "0378", "0424", "0425", "0568", "0569", "0937", "0938", "0939",
    "0948", "0949", "09475", "09476", "09477", "09478", "09479", "080",
)  # fmt: skip

_BIC = re.compile(r"[A-Z]{6}[A-Z0-9]{2}([A-Z0-9]{3})?")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_SMS_NAME = re.compile(r"[A-Za-z0-9 ]{1,11}")

Line = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(fields.text)]
Block = Annotated[str, StringConstraints(max_length=1000), AfterValidator(fields.lines)]
Language = Literal["fr", "en"]


class Frozen(BaseModel):
    """A value read from a file: nothing unknown in it, nothing changed after."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class ContactPerson(Frozen):
    """Who answers a debtor: a name or a desk, a number to call, a mailbox, and when ("Mon-Fri 9-12", as printed)."""

    name: Line
    phone: Phone
    email: Mailbox
    hours: Annotated[str, StringConstraints(max_length=100), AfterValidator(fields.text)] = ""


class EmailSender(Frozen):
    """From whom emails come, and where answers to them go (by default: to the contact person)."""

    sender: Mailbox
    sender_name: Line
    reply_to: Mailbox | None = None


class SmsSender(Frozen):
    """From whom SMS come: a number, or a name of at most 11 letters, digits and spaces that cannot be answered."""

    sender: str

    @field_validator("sender")
    @classmethod
    def _number_or_name(cls, value: str) -> str:
        if value.startswith("+"):
            return fields.international(value)
        if not _SMS_NAME.fullmatch(value) or not any(c.isalpha() for c in value) or value != value.strip():
            raise ValueError("not an SMS sender (a number with its country code, or at most 11 letters and digits)")
        return value


class VoiceSender(Frozen):
    """The number that calls show."""

    caller_id: Phone


class Redirect(Frozen):
    """Where everything goes instead of to the debtors (staging)."""

    email: Mailbox | None = None
    phone: Phone | None = None

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if not (self.email or self.phone):
            raise ValueError("names neither an email nor a phone")
        return self


class Creditor(Frozen):
    """Who is owed.

    `id` is the file's name and begins every case id. `address` may have several lines; `registration` is printed as it
    is ("SIREN 123 456 789"). `locale`, `timezone`, `country` and `currency` are what a debtor gets who has none.
    `help` maps a language to what consumers in difficulty are told. `strategies` maps a kind of debtor to the strategy
    used when a job names none. `providers` overrides, per channel, those of channels.yaml.
    `mode: shadow`: everything runs, the outbox sends.
    """

    id: str = Field(pattern=r"^[a-z0-9_]{1,32}$")
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


def caller_id_problem(country: str, number: str) -> str | None:
    """Why an automated call may not show that number in that country; None if it may, or if no rule is known.

    France: no 06/07, no ordinary 01-05/09 number, none at a premium (`FRENCH_CALLER_IDS` has those that may).
    """
    if country != "FR" or not number.startswith("+33"):
        return None
    national = "0" + number.removeprefix("+33")
    if len(national) != 10 or national.startswith(FRENCH_CALLER_IDS):
        return None
    return f"not a number that automated calls may show in France (Arcep; allowed: {', '.join(FRENCH_CALLER_IDS)})"
