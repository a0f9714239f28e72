"""What every channel is made of: a message, three ways it can go wrong, one method.

The errors, as a tree::

    ChannelError
    ├── Rejected       this message will never be taken
    │     .why  "address"   nobody can be reached there: mark it, use another channel
    │           "opted_out" the person asked this sender to stop: suppress, use another channel
    │           "content"   the wording or the request is refused: stop the template, not the person
    ├── Unavailable    surely not sent; try again after `retry_after`, or through another provider
    │     .why  "throttle"  too fast, or a quota is used up
    │           "account"   credentials, permissions or sender set-up: a person must act
    │           "down"      the provider cannot be reached
    └── Uncertain      it may have gone: never send it again blindly

`Uncertain` is the default for whatever is not understood after the first byte of a request has left.
`ConfigurationError` stands outside of the tree on purpose: it is ours, not a provider's answer, and must not be
swallowed with one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol, runtime_checkable

RejectedWhy = Literal["address", "opted_out", "content"]
UnavailableWhy = Literal["throttle", "account", "down"]


class ConfigurationError(Exception):
    """A provider's settings cannot work; the text names the setting and what was expected."""


class ChannelError(Exception):
    """A provider did not take the message.

    `code` is the provider's own word for it ("21614", "550", "TimeoutError"); `detail` is safe to log: no address,
    no name, no text of the message.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail


class Rejected(ChannelError):
    """The provider will never take this message to this address, or with this content."""

    def __init__(self, why: RejectedWhy, code: str, detail: str = "") -> None:
        super().__init__(code, detail)
        self.why: RejectedWhy = why


class Unavailable(ChannelError):
    """The message was surely not sent, and the same message may be sent later."""

    def __init__(self, why: UnavailableWhy, code: str, detail: str = "", retry_after: timedelta | None = None) -> None:
        super().__init__(code, detail)
        self.why: UnavailableWhy = why
        self.retry_after = retry_after


class Uncertain(ChannelError):
    """The provider may or may not have taken the message; only a receipt, a list or a person can tell."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with an email.

    With a `content_id`, the HTML shows it in its place, as `<img src="cid:...">`; "" is a file beside the message.
    """

    filename: str
    content_type: str
    content: bytes
    content_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What leaves on one channel, complete: an adapter translates it and adds nothing.

    `id` is the message's identity and the same on every try; `attempt` is our id of this one try and is new each time.
    `reference` is the short form of `id` that a person can read out (it ends every SMS).
    `to` and `sender` are a mailbox or an E.164 number (a sender may be alphanumeric for SMS).
    `text` is the whole wording as plain text: the email's text part, the SMS body, the words a call speaks, or what a
    task says. `html` is for email alone. `language` is a BCP 47 tag ("fr-FR"): it picks a call's voice.
    `callback_url` is where the provider may ask what a call says (TwiML) or, with `status_url`, report what became
    of the message; both empty when nothing of ours can be reached from outside.
    """

    id: str
    attempt: str
    reference: str
    channel: str
    to: str
    text: str
    to_name: str = ""
    sender: str = ""
    sender_name: str = ""
    reply_to: str = ""
    subject: str = ""
    html: str = ""
    language: str = "fr-FR"
    callback_url: str = ""
    status_url: str = ""
    attachments: tuple[Attachment, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took the message. It has not arrived yet.

    `provider_id` is the provider's own id ("SM...", "CA...", an X-Message-Id, a queue id); `detail` is safe to log.
    """

    provider_id: str
    detail: str = ""


@runtime_checkable
class Channel(Protocol):
    """One provider of one channel. Instances are shared by threads and live as long as the process."""

    #: Does this one reach real people? A sandbox, the outbox and a task do not.
    real: bool
    #: An upper bound of one `send`, in seconds, connect and every read included.
    bound: float

    def send(self, message: Message) -> Accepted:
        """Hand the message to the provider once.

        Raises `Rejected`, `Unavailable` or `Uncertain`, and nothing else: what is not understood is `Uncertain`.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """A try at a message of which nobody knows whether it went: what helps to find it in a provider's list.

    `attempt`, `message`, `reference`, `to` and `sender` are those of the `Message`. `begun` is when the call began, in
    real time by our clock, `bound` how many seconds it could take. `known` are ids of the provider's that belong to
    other messages. With `any_try`, every try at that message counts, and not this one alone.
    """

    attempt: str
    message: str
    reference: str
    channel: str
    to: str
    sender: str
    begun: datetime
    bound: float
    known: frozenset[str] = frozenset()
    any_try: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """The provider has it, under its id; `receipt` is what became of it, where the list says so."""

    provider_id: str
    receipt: "Receipt | None" = None


@runtime_checkable
class Finder(Protocol):
    """A provider that can be asked afterwards whether it took a message."""

    #: Does it have such a list, as it is set up here?
    finds: bool
    #: Does one look that finds nothing prove that nothing went? A list of somebody else's may lag behind.
    proves: bool
    #: How far back the list reaches; None: without end. What is older is not in it, whether it went or not.
    reach: timedelta | None

    def find(self, sought: Sought) -> Found | None:
        """The message, or None if it is not in the list (yet).

        Raises `Uncertain` where the list has what may be it or not, and `Unavailable` where it cannot be read.
        """
        ...


@runtime_checkable
class Recaller(Protocol):
    """A provider that can be told to drop what it took and has not passed on."""

    def recall(self, provider_id: str) -> bool:
        """Is it cancelled? False: it had left, or is over. Raises `ChannelError` where that could not be asked."""
        ...


#: What a provider may say of a message after it took it. See `Receipt`.
ReceiptWhat = Literal[
    "taken", "sent", "delivered", "deferred", "hard", "soft", "opted_out", "unsubscribed", "complained", "content",
    "account", "unanswered", "answered", "machine", "ended",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a provider says of a message after it took it, in our words.

    ============  ====================================================================================
    `what`        means
    ============  ====================================================================================
    taken         the provider has it (queued, ringing): it was not lost on the way there
    sent          it left the provider; some networks never say more
    delivered     the receiving server or phone has it; nobody may have read it
    deferred      the provider itself tries again; nothing to do
    hard          it did not arrive, and never will at that address
    soft          it did not arrive, for a reason that may pass (a phone switched off, a full mailbox)
    opted_out     it did not arrive: the person had asked this sender to stop
    unsubscribed  it arrived, and the person wants no more of them on this channel
    complained    it arrived, and was reported as spam
    content       it did not arrive: the wording was refused
    account       it did not arrive: credentials, quota or sender; a person must act
    unanswered    the call was busy, rang in vain, or failed
    answered      somebody, or something, picked up
    machine       a voicemail or a fax answered
    ended         the call that had been answered is over
    ============  ====================================================================================

    `attempt` is our own id, as it travelled with the message. `provider` is the provider's name for people
    ("twilio", "sendgrid", "smtp"), `code` its own word for what happened; no address is in either. `provider_id` is its
    id of the message, as in `Accepted`, where the receipt has it. `at` is when it says it happened, if it does.
    """

    attempt: str
    what: ReceiptWhat
    provider: str
    code: str = ""
    provider_id: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a person wrote back, on a channel that can be answered, as the provider handed it over.

    `id` is the provider's or the writer's own ("SM...", a Message-ID): the same reply twice has the same. `to` is the
    number or mailbox of ours it came to, `sender` where it says it comes from, which for an email proves nothing.
    `text` is all they wrote, quotes and signatures included. `keyword` is what the provider itself took it for ("STOP",
    "START", "HELP") and has already answered. `automatic`: a machine wrote it (out of office).
    """

    id: str
    channel: Literal["sms", "email"]
    to: str
    sender: str = field(repr=False)
    text: str = field(repr=False)
    subject: str = field(default="", repr=False)
    keyword: Literal["", "STOP", "START", "HELP"] = ""
    automatic: bool = False
