"""What is understood of the corpus: nothing certain that was not meant, and most of what is plain."""

import pytest

from tests.conftest import ROOT
from tests.worker.understanding.corpus import INTENTS, Row, rows, table

ROWS, HELD_OUT = rows(), rows("heldout")


@pytest.mark.parametrize("row", ROWS + HELD_OUT, ids=lambda row: f"{row.intent}-{row.text[:24]!r}")
def test_what_is_not_understood_is_a_message_and_never_something_else(row: Row) -> None:
    """A wrong certain reading is worse than none: what was meant, day included, or a message."""
    read = row.read()
    assert (read.intent, read.on) in ((row.intent, row.on), ("message", None))


def test_most_of_what_is_plain_is_understood() -> None:
    """At least 85 in 100 of those that mean something certain, of each intent and of all."""
    for intent in INTENTS:
        wished = [row for row in ROWS if row.intent == intent]
        assert len(wished) >= 4
        assert sum(row.read().intent == intent for row in wished) >= 0.85 * len(wished)


def test_the_corpus_is_wide_enough() -> None:
    """At least 180 texts, of which each of the two languages has its share."""
    french = sum(row.language == "fr_FR" for row in ROWS)
    assert len(ROWS) >= 180
    assert 0.4 < french / len(ROWS) < 0.6


def test_the_table_in_the_readme_is_what_comes_of_the_corpus() -> None:
    """Whoever decides on what to trust reads figures that were counted, not remembered."""
    assert table(ROWS) in (ROOT / "worker" / "README.md").read_text()
