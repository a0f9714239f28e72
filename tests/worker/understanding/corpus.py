"""The texts of the corpus, what is wished of each, and the table of what comes of them."""

from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import yaml

from worker.understanding import Understood, understand

#: A Thursday.
TODAY = date(2026, 4, 16)
INTENTS = ("already_paid", "promise", "dispute", "stop", "start", "help", "nothing", "message")


@dataclass(frozen=True)
class Row:
    """A text, and what is wished to be understood of it."""

    language: str
    intent: str
    text: str
    on: date | None

    def read(self) -> Understood:
        """What is understood of it."""
        return understand(self.text, today=TODAY, language=self.language)


def rows(name: str = "corpus") -> list[Row]:
    """The rows of one of the files; a promise whose day is null is wished to be a message."""
    found = yaml.safe_load((Path(__file__).parent / f"{name}.yaml").read_text())
    return [
        _row(language, intent, entry)
        for language, intents in found.items()
        for intent, entries in intents.items()
        for entry in entries
    ]


def _row(language: str, intent: str, entry: str | list[object]) -> Row:
    text, on = entry if isinstance(entry, list) else (entry, None)
    assert isinstance(text, str)
    assert on is None or isinstance(on, date)
    return Row(language, intent if on or intent != "promise" else "message", text, on)


def table(of: list[Row]) -> str:
    """Wished by row, read by column, as Markdown."""
    counts: Counter[tuple[str, str]] = Counter((row.intent, row.read().intent) for row in of)
    lines = [("wished \\ read", *INTENTS), ("---",) * (len(INTENTS) + 1)]
    lines += [(wished, *(str(counts[wished, read] or "") for read in INTENTS)) for wished in INTENTS]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
