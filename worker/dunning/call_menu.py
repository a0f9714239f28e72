"""What a call asks, and what each key does: pure, and without a memory. Where a call stands travels in its URL.

=============  ==========================================================================================
the place      asks
=============  ==========================================================================================
greeting       is it the right person? until that key is pressed nothing is said of what it is about
menu           what they want to say, after the amounts
choices        the same, once the amounts are known
date           by when they will pay
promised       how they will pay, once the date that stands was read back; one key changes it
=============  ==========================================================================================

Whoever presses nothing hears the place once more, then a goodbye; an unknown key is said to be one. An answer stands as
soon as its key is pressed, so that whoever hangs up has been heard.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal, get_args

from worker.dunning.answers import AnswerKind, Method
from worker.dunning.contact import Calendar, forward
from worker.dunning.effects import Limits

Place = Literal["greeting", "menu", "choices", "date", "promised"]

#: What a key can mean.
Action = Literal[
    "confirm", "link", "already_paid", "promise", "instalments", "dispute", "call_me", "refusal", "wrong_person",
    "repeat", "no_calls", "in_3_days", "in_7_days", "in_14_days", "transfer", "card", "cheque", "other", "change",
]  # fmt: skip
ACTIONS: tuple[Action, ...] = get_args(Action)

#: The keys as shipped.
KEYS: Mapping[Action, str] = {
    "confirm": "1",
    "link": "1", "already_paid": "2", "promise": "3", "instalments": "4", "dispute": "5", "call_me": "6",
    "refusal": "7", "wrong_person": "8", "repeat": "9", "no_calls": "0",
    "in_3_days": "1", "in_7_days": "2", "in_14_days": "3",
    "transfer": "1", "card": "2", "cheque": "3", "other": "4", "change": "9",
}  # fmt: skip

_MENU: tuple[Action, ...] = (
    "link", "already_paid", "promise", "instalments", "dispute", "call_me", "refusal", "wrong_person", "repeat",
    "no_calls",
)  # fmt: skip
_DAYS: Mapping[Action, int] = {"in_3_days": 3, "in_7_days": 7, "in_14_days": 14}
_METHODS: Mapping[Action, Method] = {"transfer": "transfer", "card": "card", "cheque": "cheque", "other": "other"}

#: What may be pressed where. In one place a key has one meaning.
OFFERED: Mapping[Place, tuple[Action, ...]] = {
    "greeting": ("confirm", "wrong_person", "repeat", "no_calls"),
    "menu": _MENU,
    "choices": _MENU,
    "date": (*_DAYS, "repeat"),
    "promised": (*_METHODS, "change"),
}

#: Keys after which there is nothing more to ask.
_LAST: Mapping[Action, AnswerKind] = {
    "already_paid": "already_paid", "instalments": "instalments", "dispute": "dispute", "call_me": "call_me",
    "refusal": "refusal", "wrong_person": "wrong_person", "no_calls": "opt_out",
}  # fmt: skip

#: Every kind of answer that a key can give, and every sentence (a macro of `call.txt`) that a call can say.
SAID_BY_KEYS: tuple[AnswerKind, ...] = ("confirmed", "link", "promise", "method", *_LAST.values())
SENTENCES = (
    "greeting", "unheard", "menu", "choices", "link", "date", "no_date", "promised", "unchanged", "method", "noted",
    *_LAST, "unknown", "paid", "goodbye",
)  # fmt: skip

#: How often a place is said again to whoever presses nothing, or what is no key of it; and a date changed.
SILENCES, MISTAKES, CHANGES = 1, 3, 5


@dataclass(frozen=True, slots=True)
class Here:
    """Where a call stands. `again`: how often the place was said again; `changes`: how often the date was changed."""

    at: Place = "greeting"
    again: int = 0
    changes: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError for what no call can have come to."""
        if self.at not in OFFERED or not 0 <= self.again <= MISTAKES or not 0 <= self.changes <= CHANGES:
            raise ValueError("no place in a call")


@dataclass(frozen=True, slots=True)
class Day:
    """A day that can be promised by one key."""

    action: Action
    on: date


@dataclass(frozen=True, slots=True)
class Scene:
    """What can be offered in this call: the keys, the days within the limits, and whether an SMS can be sent."""

    keys: Mapping[Action, str]
    days: Sequence[Day]
    can_text: bool

    def meaning(self, place: Place, digit: str) -> Action | None:
        """What that key means there; None if nothing."""
        return next((action for action in self.offers(place) if self.keys[action] == digit), None)

    def offers(self, place: Place) -> list[Action]:
        """What may be pressed there now."""
        can = {day.action for day in self.days}
        return [a for a in OFFERED[place] if (a in can or a not in _DAYS) and (self.can_text or a != "link")]


@dataclass(frozen=True, slots=True)
class Press:
    """What a key says on the debtor's behalf; `name` tells it from others of the same call."""

    kind: AnswerKind
    name: str
    on: date | None = None
    method: Method = ""
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """What follows: an answer to store before anything is said, the sentences to say, where to listen (None: hang up).

    Sentences are macros of `call.txt` in the templates.
    """

    says: tuple[str, ...]
    then: Here | None = None
    press: Press | None = None


def days_to_promise(bounds: Limits, calendar: Calendar) -> tuple[Day, ...]:
    """The days to choose from: on which money can move, and within the limits."""
    days = (Day(action, forward(bounds.first + timedelta(days=ahead), calendar)) for action, ahead in _DAYS.items())
    return tuple(day for day in days if day.on <= bounds.last)


def clashes(keys: Mapping[Action, str]) -> Iterator[tuple[Action, Action]]:
    """Two actions that one key would mean in the same place."""
    for actions in dict.fromkeys(OFFERED.values()):
        first: dict[str, Action] = {}
        for action in actions:
            if first.setdefault(keys[action], action) != action:
                yield first[keys[action]], action


def greeting() -> Turn:
    """How a call that somebody answered begins."""
    return Turn(("greeting",), Here())


def pressed(here: Here, digit: str, scene: Scene) -> Turn:
    """What follows a key, or "" for none, pressed there."""
    if not digit:
        return _again(here, SILENCES, ())
    action = scene.meaning(here.at, digit)
    if action is None:
        return _again(here, MISTAKES, ("unknown",))
    if action in _LAST:
        channels = ("voice",) if action in ("wrong_person", "no_calls") else ()
        return Turn((action, "goodbye"), press=Press(_LAST[action], f"{here.at}:{digit}", channels=channels))
    if action in _DAYS:
        day = next(day.on for day in scene.days if day.action == action)
        press = Press("promise", f"date:{digit}:{here.changes}", on=day)
        return Turn(("promised", "method"), replace(here, at="promised", again=0), press)
    if action in _METHODS:
        press = Press("method", f"promised:{digit}:{here.changes}", method=_METHODS[action])
        return Turn(("noted", "goodbye"), press=press)
    return _moves(here, digit, action, scene)


def _moves(here: Here, digit: str, action: Action, scene: Scene) -> Turn:
    """The keys that lead to another place."""
    match action:
        case "confirm":
            return Turn(("menu", "choices"), Here("menu"), Press("confirmed", f"{here.at}:{digit}"))
        case "link":
            return Turn(("link", "choices"), Here("choices"), Press("link", f"link:{digit}"))
        case "promise" if scene.days:
            return Turn(("date",), Here("date", changes=here.changes))
        case "promise":
            return Turn(("no_date", "choices"), Here("choices"))
        case "change" if here.changes < CHANGES:
            return Turn(("date",), Here("date", changes=here.changes + 1))
        case "change":
            return Turn(("unchanged", "goodbye"))
    return Turn(sentences(here.at), here)  # repeat: the same once more, from the same URL


def _again(here: Here, most: int, first: tuple[str, ...]) -> Turn:
    """The place once more, until it was said often enough."""
    if here.again >= most:
        return Turn((*first, "unheard" if here.at == "greeting" else "goodbye"))
    return Turn((*first, *sentences(here.at)), replace(here, again=here.again + 1))


def sentences(place: Place) -> tuple[str, ...]:
    """What is said at a place."""
    return {"menu": ("menu", "choices"), "promised": ("promised", "method")}.get(place, (place,))
