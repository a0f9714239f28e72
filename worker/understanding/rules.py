"""Few intents, and only where they are sure.

A wrong reading costs more than none: a `message` holds the ladder and a person reads it. So "paid" and "I will pay"
count only where every word is known and fits, a stop only where nothing else is said, and a dispute only where its
words are said plainly.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from worker.understanding.dates import Found, take
from worker.understanding.english import ENGLISH
from worker.understanding.folding import fold, words_of
from worker.understanding.french import FRENCH
from worker.understanding.own import own
from worker.understanding.words import Words

Intent = Literal["stop", "start", "help", "already_paid", "promise", "dispute", "message", "nothing"]

#: How much is kept of what somebody wrote, and how long it may be for a rule to judge it, in characters.
LONGEST = 2_000
JUDGED = 700

_LANGUAGES = {"fr": FRENCH, "en": ENGLISH}
# A face may say the contrary of the words beside it. These do not.
_PLAIN_FACES = set("🙏👍🙂😊☺✅✔👌💶💳🤝😀😃😅❤✨\ufe0f🏻🏼🏽🏾🏿")
_REFERENCE = re.compile(
    r"\b(?:(?P<label>factures?|invoices?|ref(?:erence)?|no|num(?:ero)?|number)\.?\s*(?:n[o°]?|number|numero)?[ .:#°]*"
    r"(?=[a-z/_-]*\d)[\w/-]{3,24}|[a-z]{1,6}[-_/]?\d[\d/_-]{2,20})(?!\w)"
)
_AMOUNT = re.compile(r"[€£$]\s?\d[\d ,.]{0,12}|\b\d[\d ,.]{0,12}\s?(?:€|£|\$|k€|eur\b|euros?\b|pounds?\b|balles\b)")


@dataclass(frozen=True, slots=True)
class Understood:
    """What a text means. `on` is the day of a promise; `own` what they wrote themselves, LONGEST characters of it."""

    intent: Intent
    on: date | None = None
    own: str = field(default="", repr=False)


def understand(text: str, *, today: date, language: str) -> Understood:
    """What a debtor means by an SMS or an email. `language` is theirs ("fr_FR", "en-GB"); `today` is where they are.

    It settles which of 04/05 is the month; the words of every language are tried, theirs first. Never raises.
    """
    written = own(text)
    if not written:
        return Understood("nothing")
    kept = written[:LONGEST]
    if len(written) > JUDGED:
        return Understood("message", own=kept)
    said = _Said(written)
    code, _, region = language.replace("-", "_").partition("_")
    day_first = code != "en" or region.upper() in ("GB", "IE", "AU", "NZ")
    for words in sorted(_LANGUAGES.values(), key=lambda words: words is not _LANGUAGES.get(code)):
        intent, on = _judge(said, words, today, day_first)
        if intent != "message":
            return Understood(intent, on, kept)
    return Understood("message", own=kept)


class _Said:
    """A text in the forms in which it is compared."""

    def __init__(self, written: str) -> None:
        self.written = written
        self.folded = fold(written)
        self.words = words_of(self.folded)
        self.lists = [words.lists for words in _LANGUAGES.values()]

    def has(self, name: str) -> bool:
        """Does any language find a phrase of that list?"""
        return any(lists[name].found_in(self.words) for lists in self.lists)

    @property
    def plain(self) -> bool:
        """No question, no shouting, no face that could mean the contrary."""
        faces = {c for c in self.written if ord(c) > 0x2190} - _PLAIN_FACES
        return not faces and "?" not in self.written and "!!" not in self.written


def _judge(said: _Said, words: Words, today: date, day_first: bool) -> tuple[Intent, date | None]:
    if alone := _alone(said, words):
        return alone, None
    if said.has("for_a_person"):
        return "message", None
    if words.lists["automatic"].found_in(said.words) and not said.has("never_automatic"):
        return "nothing", None
    if _disputes(said, words):
        return "dispute", None
    if said.plain:
        return _pays(said, words, today, day_first)
    return "message", None


def _alone(said: _Said, words: Words) -> Intent | None:
    """A word that is an order, with no more than politeness around it.

    YES and OUI are none: they answer a question that was not asked. Where they do lift a stop, the provider says so.
    """
    if words.lists["stop_alone"].are_all_of(said.words) and said.words:
        return "stop"
    if (
        words.lists["stop"].found_in(said.words)
        and words.around["stop"].are_all_of(said.words)
        and "?" not in said.folded
    ):
        return "stop"
    if words.lists["help_alone"].found_in(said.words) and len(said.words) == 1:
        return "help"
    if words.lists["start_alone"].found_in(said.words) and len(said.words) == 1 and "?" not in said.folded:
        return "start"
    return None


def _disputes(said: _Said, words: Words) -> bool:
    if words.of_paying.found_in(said.words):
        return False  # two things are said
    sentences = re.findall(r"[^.!?\n]+[.!?\n]*", said.folded)
    return any(_disputed(words_of(sentence), words) for sentence in sentences if "?" not in sentence)


def _disputed(sentence: Sequence[str], words: Words) -> bool:
    if words.lists["conditions"].found_in(sentence):
        return False
    negations = words.lists["negations"]
    return any(
        not negations.found_in(sentence[max(0, start - 3) : start]) and not negations.found_in(sentence[end : end + 2])
        for start, end in words.lists["dispute"].spans(sentence)
    )


def _pays(said: _Said, words: Words, today: date, day_first: bool) -> tuple[Intent, date | None]:
    """Paid, or will pay: every word must be one that such a text may have."""
    text = _AMOUNT.sub(" AMOUNT ", _REFERENCE.sub(lambda match: f" {match['label'] or ''} ", said.folded))
    text, dates = take(text, words, today=today, day_first=day_first)
    spoken = _unsigned(text, said.written)
    if _is_paid(spoken, words, dates, said.written.lower()):
        return "already_paid", None
    on = dates[0].day if len(dates) == 1 else None
    promises = words.lists["promise"].found_in(spoken) and words.around["promise"].are_all_of(spoken)
    return ("promise", on) if on and promises else ("message", None)


def _is_paid(spoken: Sequence[str], words: Words, dates: Sequence[Found], written: str) -> bool:
    if not words.around["already_paid"].are_all_of(spoken) or not all(found.past for found in dates):
        return False
    barely = words.lists["paid_barely"].found_in(spoken) and (
        not dates or any(form in written for form in words.accented)
    )
    return words.lists["paid"].found_in(spoken) or barely


def _unsigned(text: str, written: str) -> list[str]:
    """The words, without a name that stands on the last line by itself."""
    lines, last = text.rstrip().split("\n"), written.rstrip().split("\n")[-1]
    name = re.fullmatch(r"\s*(?:[A-ZÀ-Ý][a-zà-ÿ'’-]*\.?\s*){1,4}", last)
    named = len(lines) > 1 and name and not set(words_of(fold(last))) & _NOT_NAMES
    return words_of("\n".join(lines[:-1] if named else lines))


#: Every word the rules know: no name of a person.
_NOT_NAMES = frozenset(
    word
    for words in _LANGUAGES.values()
    for name, phrases in vars(words).items()
    if isinstance(phrases, tuple) and name not in ("courtesies",)
    for phrase in phrases
    for word in words_of(fold(phrase))
)
