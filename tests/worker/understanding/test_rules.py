"""What holds of any text, and of our own words when they are quoted."""

from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.worker.render_samples import LOCALES, TONES, case, plain, render
from tests.worker.understanding.corpus import TODAY, rows
from worker.understanding import JUDGED, LONGEST, understand
from worker.understanding.english import ENGLISH
from worker.understanding.french import FRENCH
from worker.understanding.own import own

TEXTS = st.text(max_size=300) | st.lists(
    st.sampled_from([row.text for row in rows()] + ["-- ", "On 4 May X wrote:", "Cordialement", "De : X\nObjet : Y"]),
    max_size=4,
).map("\n".join)
REMINDERS = [plain(render(notice, of=case(locale=locale)).text) for notice in TONES for locale in LOCALES]

#: How mail programs quote what is answered.
QUOTED: dict[str, Callable[[str], str]] = {
    "marked": lambda text: "\n".join(f"> {line}" for line in text.splitlines()),
    "apple": lambda text: "Le 16 avr. 2026 à 09:02, Atelier Rivoire <compta@atelier.example> a écrit :\n\n" + text,
    "gmail": lambda text: "On Thu, 16 Apr 2026 at 09:02, Atelier Rivoire\n<compta@atelier.example> wrote:\n\n" + text,
    "outlook": lambda text: "De : Atelier Rivoire <compta@atelier.example>\nEnvoyé : jeudi 16 avril 2026 09:02\n"
    "À : Client\nObjet : Facture\n\n" + text,
    "outlook-en": lambda text: "_" * 32 + "\nFrom: Atelier\nSent: Thursday\nTo: Client\nSubject: Invoice\n\n" + text,
    "old": lambda text: "-----Message d'origine-----\n" + text,
    "forwarded": lambda text: "---------- Forwarded message ---------\n" + text,
}  # fmt: skip


@given(TEXTS, st.dates(date(2020, 1, 1), date(2030, 12, 31)), st.sampled_from(["fr_FR", "en_GB", "en_US", "", "de"]))
@example("je paie le 31", date(2024, 1, 31), "fr_FR")
@example("I'll pay on 29 February", date(2025, 2, 1), "en_GB")
@example("je paie le 00/00/0000 et le 99/99", date(2026, 1, 1), "fr_FR")
def test_any_text_is_understood_as_something(text: str, today: date, language: str) -> None:
    """Whatever is written, there is an answer; a promise, and nothing else, has a day, at most a year away."""
    read = understand(text, today=today, language=language)
    assert (read.intent == "promise") == (read.on is not None)
    assert read.on is None or 0 <= (read.on - today).days <= 366
    assert len(read.own) <= LONGEST


@given(TEXTS, TEXTS)
def test_what_is_quoted_below_changes_nothing(text: str, quoted: str) -> None:
    """A reply means what it means without the text it answers."""
    below = "".join(f"\n> {line}" for line in quoted.splitlines())
    alone, together = (understand(one, today=TODAY, language="fr_FR") for one in (text, text + "\n" + below))
    assert alone == together


@pytest.mark.parametrize("style", QUOTED)
@pytest.mark.parametrize(
    "answer", ["Bien reçu, je regarde.", "STOP", "Réglé hier", "je paierai le 28 avril", "I dispute this invoice"]
)
def test_our_own_words_are_never_taken_for_theirs(answer: str, style: str) -> None:
    """Reminders speak of having paid, of dates, of contesting; quoted in any way, they are ours."""
    alone = understand(answer, today=TODAY, language="fr_FR")
    for reminder in REMINDERS:
        quoted = understand(f"{answer}\n\n{QUOTED[style](reminder)}", today=TODAY, language="fr_FR")
        assert quoted == alone


@pytest.mark.parametrize("style", QUOTED)
def test_words_below_a_quote_are_not_lost(style: str) -> None:
    """Whoever writes at the bottom has written: that is a message at least, never nothing."""
    for reminder in REMINDERS[:2]:
        answer = f"{QUOTED[style](reminder)}\n\nOui mais pas avant lundi, ma comptable est malade"
        assert understand(answer, today=TODAY, language="fr_FR").intent == "message"


def test_a_reminder_sent_back_as_it_is_says_nothing_certain() -> None:
    """Our own words, marked as a quote by nobody, are for a person."""
    for reminder in REMINDERS:
        assert understand(reminder, today=TODAY, language="fr_FR").intent == "message"


def test_a_long_letter_is_for_a_person() -> None:
    """Beyond JUDGED characters nothing is certain, whatever its first words; what is kept of it is bounded."""
    letter = "Je conteste cette facture. " + "Les faits sont les suivants. " * 2_000_000
    read = understand(letter, today=TODAY, language="fr_FR")
    assert (read.intent, len(read.own)) == ("message", LONGEST)
    assert JUDGED < LONGEST


@pytest.mark.parametrize(
    ("text", "theirs"),
    [
        ("Réglé.\n\nCordialement,\nNadia Belkacem\n01 99 00 12 34", "Réglé."),
        ("Réglé. Cordialement, J. Martin", "Réglé."),
        ("Paid.\n-- \nPriya Shah\nAccounts", "Paid."),
        ("Paid.\n\nSent from my iPhone", "Paid."),
        ("> Quand paierez-vous ?\nVendredi.\n> Par quel moyen ?\nPar virement.", "Vendredi.\nPar virement."),
        ("Réglé.\nCordialement,\nJean\nPS : mais je conteste le montant", None),
        ("Paid.\nRegards,\nTom\nWhy do you ask?", None),
    ],
)
def test_what_is_their_own(text: str, theirs: str | None) -> None:
    """Signatures and quotes go; what is said after a signature stays."""
    assert own(text) == (text if theirs is None else theirs)


def test_both_languages_are_read_in_the_whole() -> None:
    """A phrase that is not written as phrases are would be found nowhere; none is, and none asks to pay twice over."""
    for words in (FRENCH, ENGLISH):
        assert words.lists.keys() == {name for name, value in vars(words).items() if isinstance(value, tuple)}
        assert len(words.lists) == len(words.__dataclass_fields__) - 1


@pytest.mark.parametrize(
    ("language", "on"), [("fr_FR", date(2026, 5, 4)), ("en_GB", date(2026, 5, 4)), ("en_US", None), ("en", None)]
)
def test_a_day_that_could_be_a_month_is_read_where_the_language_settles_it(language: str, on: date | None) -> None:
    """04/05 is the fourth of May in Europe; where it could be April the fifth, a person reads it."""
    assert understand("I will pay on 04/05", today=TODAY, language=language).on == on


@pytest.mark.parametrize(
    ("today", "said", "on"),
    [
        (date(2026, 4, 13), "vendredi", date(2026, 4, 17)),
        (date(2026, 4, 17), "vendredi", None),
        (date(2026, 4, 13), "vendredi prochain", None),
        (date(2026, 4, 18), "vendredi prochain", date(2026, 4, 24)),
        (date(2026, 12, 28), "le 5 janvier", date(2027, 1, 5)),
        (date(2026, 4, 30), "fin du mois", None),
        (date(2026, 1, 31), "fin du mois prochain", date(2026, 2, 28)),
        (date(2026, 4, 16), "le 31", None),
        (date(2026, 4, 16), "vendredi 24 avril", date(2026, 4, 24)),
        (date(2026, 4, 16), "mardi 24 avril", None),
    ],
)
def test_days_are_read_only_in_one_way(today: date, said: str, on: date | None) -> None:
    """What could be two days is none."""
    assert understand(f"je paierai {said}", today=today, language="fr_FR").on == on
