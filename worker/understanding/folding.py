"""Text as the rules compare it, and lists of phrases as people write them down."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import product

_LIGATURES = str.maketrans({"œ": "oe", "æ": "ae", "ß": "ss", "’": "'", "‘": "'", "`": "'", "´": "'"})
_CHOICE = re.compile(r"\[([^\]]+)\]|\(([^)]+)\)")
_AGREEING = ("", "e", "s", "es")


def fold(text: str) -> str:
    """Lower case, no accents, plain apostrophes, nothing invisible; line breaks stay."""
    parts = unicodedata.normalize("NFKD", text.translate(_LIGATURES).lower().translate(_LIGATURES))
    return "".join(c for c in parts if not unicodedata.combining(c) and (c == "\n" or unicodedata.category(c) != "Cf"))


def words_of(folded: str) -> list[str]:
    """The words of a folded text; DATE and AMOUNT, which stand for one, are in capitals."""
    return re.findall(r"[a-z0-9]+|[A-Z]+", folded)


#: What may stand in one place of a phrase: one of these, each some words; no words at all where it may be left out.
Slot = frozenset[tuple[str, ...]]


class Phrases:
    """A list of phrases, to be found in a list of words.

    As written: `(a|b)` is one of them, `[a|b]` one or none, neither inside another; `payé*` also payée, payés, payées.
    Accents, capitals and apostrophes do not matter. Raises ValueError for a phrase that is not written so.
    """

    def __init__(self, *lists: Sequence[str]) -> None:
        self._by_first: dict[str, list[Sequence[Slot]]] = {}
        for slots in {_slots(phrase) for phrases in lists for phrase in phrases}:
            for word in _firsts(slots):
                self._by_first.setdefault(word, []).append(slots)

    def at(self, words: Sequence[str], index: int) -> set[int]:
        """Where the phrases that begin there may end."""
        return {end for slots in self._by_first.get(words[index], ()) for end in _ends(slots, words, index)}

    def spans(self, words: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Where phrases stand, from left to right, the longest first, none over another."""
        index = 0
        while index < len(words):
            end = max(self.at(words, index), default=index)
            if end > index:
                yield index, end
            index = max(end, index + 1)

    def found_in(self, words: Sequence[str]) -> bool:
        """Does any of them stand there?"""
        return next(self.spans(words), None) is not None

    def are_all_of(self, words: Sequence[str]) -> bool:
        """Is there nothing else than these phrases?"""
        reached = {0}
        for index in range(len(words)):
            if index in reached:
                reached |= self.at(words, index)
        return len(words) in reached


def _ends(slots: Sequence[Slot], words: Sequence[str], index: int) -> set[int]:
    ends = {index}
    for slot in slots:
        ends = {end + len(some) for end in ends for some in slot if tuple(words[end : end + len(some)]) == some}
    return ends - {index}


def _firsts(slots: Sequence[Slot]) -> set[str]:
    """The words a phrase may begin with."""
    firsts: set[str] = set()
    for slot in slots:
        firsts |= {some[0] for some in slot if some}
        if () not in slot:
            break
    return firsts


def _slots(phrase: str) -> tuple[Slot, ...]:
    slots, last = list[Slot](), 0
    for choice in _CHOICE.finditer(phrase):
        optional, one_of = choice.groups()
        slots += [_slot(phrase[last : choice.start()])]
        slots += [_slot("", *optional.split("|")) if optional else _slot(*str(one_of).split("|"))]
        last = choice.end()
    slots += [_slot(phrase[last:])]
    return tuple(slot for slot in slots if slot != {()})


def _slot(*options: str) -> Slot:
    return frozenset(tuple(spelt) for option in options for spelt in product(*map(_spelt, _kept(option).split())))


def _spelt(word: str) -> Sequence[str]:
    if not re.fullmatch(r"\w+\*?", word):
        raise ValueError(f"{word!r} is no word of a phrase")
    return [word[:-1] + ending for ending in _AGREEING] if word.endswith("*") else [word]


def _kept(text: str) -> str:
    """Folded, but for the words in capitals that stand for something; an apostrophe parts words."""
    words = re.sub(r"['’-]", " ", text).split()
    return " ".join(word if word in ("DATE", "AMOUNT") else fold(word) for word in words)
