"""What is played: who pays after which message, who answers and how, and what comes of it. Values only.

Menuiserie des Halles never answers.
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "config" / "examples" / "reminders.jsonl"
#: When the rehearsal begins, and how fast it runs between the stretches it skips.
BEGINS, SPEED = "2026-03-23T08:00+01:00", 60.0
OPERATOR = "the demo's operator"

#: What the shipped configuration says, and what it says here, where SMS and emails are answered.
CHANGES = (
    ("creditors/demo.yaml", "sender: AtelierDemo", "sender: '+33938000000'"),
    (
        "creditors/demo.yaml",
        "  sender_name: Atelier Démo",
        "  sender_name: Atelier Démo\n  answers_at: answers.example.com",
    ),
)


@dataclass(frozen=True, slots=True)
class Payment:
    """Money that comes in for an invoice."""

    invoice: str
    amount: str


@dataclass(frozen=True, slots=True)
class Heard:
    """A message that has reached a debtor: on which step and channel."""

    debtor: str
    step: str
    channel: str


@dataclass(frozen=True, slots=True)
class Says:
    """What a debtor does about a message: writes an SMS or an email, or disputes on the page it leads to."""

    by: Literal["sms", "email", "page"]
    words: str


#: Who pays after which message, and how long that takes them: by then it has left by all its channels.
PAYING = timedelta(hours=1)
PAYMENTS = {
    Heard("C-1001", "first_reminder", "email"): Payment("F-2026-101", "480.00"),
    Heard("C-1004", "formal_notice", "email"): Payment("F-2026-104", "1190.00"),
    Heard("C-1005", "second_reminder", "email"): Payment("F-2026-105", "139.90"),
    Heard("C-1006", "first_reminder", "email"): Payment("F-2026-106", "900.00"),
    Heard("C-1006", "call", "voice"): Payment("F-2026-107", "310.00"),
    Heard("C-1007", "second_reminder", "email"): Payment("F-2026-108", "864.00"),
    Heard("C-1008", "second_reminder", "email"): Payment("F-2026-109", "412.30"),
}

#: Who answers which message, and how.
REPLIES = {
    Heard("C-1008", "sms_reminder", "sms"): Says("sms", "STOP"),
    Heard("C-1009", "first_reminder", "email"): Says("page", "Trois chaises sur douze sont arrivées fendues."),
    Heard("C-1010", "first_reminder", "email"): Says(
        "email", "Bonjour,\n\nle virement est parti ce matin.\n\nCordialement"
    ),
}

#: Who presses what when they are called: the right person, "I will pay", in a week or in three days, by transfer.
KEYS = {"+33639980103": ("1", "3", "2", "1"), "+33639980107": ("1", "3", "1", "1")}

#: What comes of an answer, so long after it: the money promised or sent, or a credit note for what was wrong.
AFTERWARDS: dict[tuple[str, str], tuple[timedelta, Payment | str]] = {
    ("C-1003", "promise"): (timedelta(days=5), Payment("F-2026-103", "725.50")),
    ("C-1009", "dispute"): (timedelta(days=9), "credited"),
    ("C-1010", "already_paid"): (timedelta(days=3), Payment("F-2026-111", "257.40")),
}
