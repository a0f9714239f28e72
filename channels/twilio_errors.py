"""What Twilio's error codes and HTTP statuses mean to us, in an answer and in a receipt. One table, in our own words.

Twilio says that its codes change, and echoes numbers in its messages; so an unknown code falls to a default, and no
text of Twilio's is passed on.
"""

from datetime import timedelta

from channels.base import ChannelError, ReceiptWhat
from channels.outcome import Word, failure

CODES: dict[Word, dict[int, str]] = {
    "address": {
        21202: "the number is a premium one",
        21211: "not a valid number",
        21214: "the number cannot be reached",
        21216: "the number is on the provider's block list",
        21217: "not a valid number",
        21265: "the number is a short code",
        21612: "this sender cannot reach the number by SMS",
        21614: "not a mobile number",
        21635: "a landline",
        30005: "unknown handset",
        30006: "a landline, or its carrier cannot be reached",
        30011: "the number cannot take media",
    },
    "opted_out": {21610: "the person told this sender to stop"},
    "content": {
        12100: "the call's document cannot be parsed",
        12200: "the call's document breaks its schema",
        13520: "the call's words cannot be spoken",
        13521: "the call's words are too long",
        14107: "too many messages between the two numbers",
        20001: "unknown parameters",
        20004: "method not allowed",
        20422: "a parameter is not valid",
        21201: "no number to call",
        21205: "the URL of the call's document is not valid",
        21206: "the digits to send are not valid",
        21208: "the ring time is not valid",
        21209: "the HTTP method is not valid",
        21218: "the application is not valid",
        21234: "the machine detection is not valid",
        21602: "the body is missing",
        21604: "no number to write to",
        21609: "the status URL is not valid",
        21617: "the body is too long",
        21618: "the body cannot be sent",
        21624: "the validity period is not valid",
        21626: "a status event is not valid",
        30007: "filtered by the provider or a carrier",
        30038: "filtered as a one-time password",
        32018: "the call's document is too long",
        32019: "both a document and its URL",
        90007: "the validity period is out of range",
    },
    "account": {
        10001: "the account is not active",
        13227: "no permission to call this country",
        20003: "credentials refused",
        20005: "the account is not active",
        20006: "access denied",
        20008: "test credentials",
        20010: "the account may not do this",
        20403: "forbidden",
        20404: "no such account or address of the API",
        21210: "the caller's number is not verified",
        21212: "the sender is not valid",
        21213: "the sender is missing",
        21215: "no permission to call this country",
        21219: "a trial account calls verified numbers only",
        21266: "the sender is the recipient",
        21408: "no permission to write to this country",
        21603: "the sender is missing",
        21606: "the sender cannot send messages",
        21607: "a trial account writes from its own number only",
        21608: "a trial account writes to verified numbers only",
        21657: "the sender's name is not valid in this country",
        21659: "the sender is not one of the provider's numbers",
        21660: "the sender belongs to another account",
        21701: "no such messaging service",
        21702: "the messaging service is unavailable",
        21703: "no sender of the messaging service fits",
        21704: "the messaging service has no senders",
        21705: "the messaging service is not valid",
        30002: "the account is suspended",
        30018: "the sender's name must be registered first",
        30024: "the carrier does not know the sender",
        30032: "the toll-free sender is not verified",
        30033: "the campaign is suspended",
        30034: "the sender is not registered",
        30035: "the sender is still being set up",
        30042: "the sender's name is generic or blocked",
        32017: "the carrier blocks the caller's number",
    },
    "throttle": {
        10004: "too many calls at once",
        15002: "the call waited too long in a queue",
        20429: "too many requests at once",
        21611: "the sender's queue is full",
        30001: "the queue is full",
        30017: "the carrier is congested",
        30022: "the carrier's rate is exceeded",
        30023: "the carrier's daily limit is reached",
        30450: "numbers like this one are blocked for some minutes",
        30610: "quiet hours at the recipient's place",
    },
    # Failures of one message rather than of a person: nothing was delivered and a new send is allowed.
    "down": {
        12400: "the provider failed on the call's document",
        30003: "the handset cannot be reached now",
        30004: "blocked by the recipient or the carrier",
        30008: "the carrier does not say why",
        30020: "the provider could not schedule it",
        30021: "the provider failed",
        30036: "waited too long in the provider's queue",
        30410: "the provider timed out",
        30500: "the provider failed on the message",
        32016: "the telephone network timed out",
    },
    # Twilio's own page on 20500 says that trying again may give the person several.
    "uncertain": {
        20500: "the provider failed, perhaps after taking it",
        20503: "the provider is overloaded, perhaps after taking it",
        20504: "the provider timed out, perhaps after taking it",
    },
}

STATUSES: dict[int, tuple[Word, str]] = {
    301: ("account", "another address answers; the base URL is wrong"),
    302: ("account", "another address answers; the base URL is wrong"),
    307: ("account", "another address answers; the base URL is wrong"),
    308: ("account", "another address answers; the base URL is wrong"),
    401: ("account", "credentials refused"),
    403: ("account", "forbidden"),
    404: ("account", "no such account or address of the API"),
    408: ("uncertain", "the provider timed out on the request"),
    422: ("content", "the request is refused"),
    429: ("throttle", "too many requests"),
}

_BY_CODE = {code: (word, title) for word, codes in CODES.items() for code, title in codes.items()}

# A 4xx was surely not sent, but nobody can say whether the person, the wording or the account is to blame. So none
# of them is marked: the case's back-off tries again later, or through another provider.
_UNKNOWN_REFUSAL: tuple[Word, str] = ("down", "refused for a reason unknown to us")
_UNKNOWN: tuple[Word, str] = ("uncertain", "an answer that was not understood")


#: What a code comes down to in a receipt: the message was taken, and did not arrive. What is not here may pass.
_IN_RECEIPTS: dict[Word, ReceiptWhat] = {
    "address": "hard",
    "opted_out": "opted_out",
    "content": "content",
    "account": "account",
}


def undelivered(code: str) -> ReceiptWhat:
    """What the code (digits, or empty) of a message that did not arrive means; unknown ones may pass."""
    word, _ = _BY_CODE.get(int(code or 0), _UNKNOWN_REFUSAL)
    return _IN_RECEIPTS.get(word, "soft")


def meaning(status: int, code: int | None, retry_after: timedelta | None = None) -> ChannelError:
    """The error for an HTTP status and Twilio's code (None, or the status again, where it gave none)."""
    word, title = _entry(status, code)
    return failure(word, str(code or status), title, retry_after)


def _entry(status: int, code: int | None) -> tuple[Word, str]:
    if status >= 500:  # whatever the code: the work may have been done before it failed
        return "uncertain", "the provider failed, perhaps after taking it"
    if code in _BY_CODE:
        return _BY_CODE[code]
    return STATUSES.get(status) or (_UNKNOWN_REFUSAL if 400 <= status < 500 else _UNKNOWN)
