"""What is to happen, drawn from a seed: debtors, payments, faults, kills. Values only; the same seed, the same plan."""

import math
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

Part = Literal["sms", "email", "voice", "intake", "scheduler", "web", "cases", "broker"]

#: The channels of a ladder's three steps; each debtor gets one of these orders.
ORDERS = (("email", "sms", "voice"), ("sms", "voice", "email"), ("voice", "email", "sms"))
#: The parts that send: a kill of theirs is aimed at a request of their own.
SENDERS: tuple[Part, ...] = ("sms", "email", "voice")
#: What is killed, and how often among others. Each is killed at least once where there are kills enough.
WEIGHTS: dict[Part, int] = {
    "sms": 4, "email": 4, "voice": 4, "intake": 2, "scheduler": 3, "web": 3, "cases": 3, "broker": 2,
}  # fmt: skip
#: The share of debtors who pay while they are chased, and of kills that wait for an open request.
PAYING, AIMED = 0.2, 0.75
#: The share of payments that come as a day turns, when steps fall due and messages are on their way.
PAYING_AT_THE_TURN = 0.7
#: When a day turns, in parts of a day: the ladder's clock begins at eight in the morning.
TURN = 16 / 24
#: Nothing is killed before that second.
FIRST_KILL = 4.0
#: How many numbers there are to give out: those of +33 6 39 98 that no reaction of the sandbox is tied to.
NUMBERS = range(5000, 10_000)


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of it: `spread` is over how many seconds cases are opened, `day` how many a day of the ladder lasts."""

    cases: int
    spread: float
    day: float
    kills: int


#: What the suite runs, and what `make chaos` runs for each seed.
BOUNDED = Scale(cases=200, spread=32.0, day=4.0, kills=16)
FULL = Scale(cases=2000, spread=260.0, day=10.0, kills=60)


@dataclass(frozen=True, slots=True)
class Debtor:
    """One of them, followed by one case. Moments are in seconds from the start; `queued`: by the queue, not the door.

    No two share an address, and no two steps of a ladder a channel: an address and a channel are one message.
    """

    number: int
    order: int
    opens: float
    pays: float | None
    queued: bool

    @property
    def name(self) -> str:
        """Upstream's id of them."""
        return f"C-{self.number:05d}"

    @property
    def invoice(self) -> str:
        """The number of what they owe."""
        return f"F-{self.number:05d}"

    @property
    def channels(self) -> tuple[str, ...]:
        """Of their three steps."""
        return ORDERS[self.order]

    @property
    def email(self) -> str:
        """A mailbox nobody has."""
        return f"debtor-{self.number:05d}@example.com"

    @property
    def phone(self) -> str:
        """A mobile number that is set aside for fiction (Arcep)."""
        return f"+3363998{NUMBERS[self.number]:04d}"

    def address(self, channel: str) -> str:
        """Where they are reached on it."""
        return self.email if channel == "email" else self.phone


@dataclass(frozen=True, slots=True)
class Kill:
    """`kill -9` of a part at that second; `aimed`: as soon as the sandbox holds a request of it.

    A server stays away for `away` seconds. Whoever watches over the others starts those again by itself.
    """

    at: float
    part: Part
    aimed: bool
    away: float


@dataclass(frozen=True, slots=True)
class Plan:
    """All of it."""

    seed: int
    scale: Scale
    debtors: tuple[Debtor, ...]
    kills: tuple[Kill, ...]
    faults: tuple[dict[str, Any], ...]
    listings: tuple[dict[str, Any], ...]
    reactions: tuple[dict[str, Any], ...]


def plan(seed: int, scale: Scale, *, faulty: bool = True) -> Plan:
    """What that seed means at that scale; without `faulty`, the provider does nothing wrong."""
    random = Random(seed)
    debtors = tuple(_debtor(random, number, scale) for number in range(scale.cases))
    kills = _kills(random, scale)
    orders = (FAULTS, LISTINGS, reactions(random)) if faulty else ((), (), ())
    return Plan(seed, scale, debtors, kills, *orders)


def _debtor(random: Random, number: int, scale: Scale) -> Debtor:
    opens = random.uniform(0, scale.spread)
    pays = _pays(random, opens, scale.day) if random.random() < PAYING else None
    return Debtor(number, random.randrange(len(ORDERS)), opens, pays, queued=random.random() < 0.5)


def _pays(random: Random, opens: float, day: float) -> float:
    """At any moment of the days in which they are chased; or just as one turns."""
    if random.random() >= PAYING_AT_THE_TURN:
        return opens + random.uniform(0.5, 4 * day)
    turns = math.ceil(opens / day - TURN) + random.randrange(3)
    return (turns + TURN) * day + random.uniform(0.0, 1.5)


def _kills(random: Random, scale: Scale) -> tuple[Kill, ...]:
    """Spread over the time in which messages leave: one in each stretch of it."""
    parts = [*WEIGHTS][: scale.kills]
    parts += random.choices(list(WEIGHTS), list(WEIGHTS.values()), k=scale.kills - len(parts))
    random.shuffle(parts)
    stretch = (scale.spread + 3 * scale.day - FIRST_KILL) / max(1, scale.kills)
    return tuple(
        Kill(
            FIRST_KILL + (place + random.random()) * stretch,
            part,
            aimed=random.random() < AIMED,
            away=random.uniform(0.2, 2.0),
        )
        for place, part in enumerate(parts)
    )


#: What the sandbox does wrong, of so many messages, on every channel: a tenth are accepted and their answer is lost.
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "accept_then_drop", "share": 0.1},
    {"kind": "accept_then_500", "share": 0.03},
    {"kind": "late", "share": 0.05, "seconds": 1.5},
    {"kind": "late", "share": 0.02, "seconds": 5},  # longer than is waited for
    {"kind": "hang", "share": 0.02, "seconds": 8},
    {"kind": "drop", "share": 0.02},
    {"kind": "500", "share": 0.03},
    {"kind": "429", "share": 0.05, "seconds": 1},
    {"kind": "refuse", "share": 0.01},
)
#: What its lists show late: a tenth, by half a minute.
LISTINGS: tuple[dict[str, Any], ...] = ({"share": 0.1, "seconds": 30},)


def reactions(random: Random) -> tuple[dict[str, Any], ...]:
    """What follows: a tenth of the messages are never spoken of again; others early, twice, in the wrong order."""
    natural = {
        "sms": ["sent", "delivered"],
        "voice": ["initiated", "ringing", "answered", "completed"],
        "email": ["processed", "delivered"],
    }
    found: list[dict[str, Any]] = []
    for channel, words in natural.items():
        shuffled = words[:]
        while shuffled == words:
            random.shuffle(shuffled)
        found += [
            {"channel": channel, "share": 0.1, "receipts": []},
            {"channel": channel, "share": 0.15, "early": True},
            {"channel": channel, "share": 0.15, "receipts": [*words, *words]},
            {"channel": channel, "share": 0.15, "receipts": shuffled, "seconds": 0.5},
        ]
    return tuple(found)
