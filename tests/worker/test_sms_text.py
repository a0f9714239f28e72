"""What an SMS costs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.render.sms_text import gsm_text, sms_segments

REMINDER = (
    "Atelier : facture F-12 de 1\u202f234,50\u00a0€ due le 1er août, merci de régler sous huit jours. Ref K7Q2MX. Sûr."
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("GSM-7", 1)),
        ("a" * 160, ("GSM-7", 1)),
        ("a" * 161, ("GSM-7", 2)),
        ("a" * 306, ("GSM-7", 2)),
        ("a" * 307, ("GSM-7", 3)),
        ("€" * 80, ("GSM-7", 1)),
        ("€" * 81, ("GSM-7", 2)),
        ("a" * 152 + "€" + "a" * 152, ("GSM-7", 3)),  # 306 septets, but the euro sign would be cut in two
        ("ç" + "a" * 69, ("UCS-2", 1)),
        ("ç" + "a" * 70, ("UCS-2", 2)),
        ("ç" * 134, ("UCS-2", 2)),
        ("😀" * 35, ("UCS-2", 1)),
        ("😀" * 36, ("UCS-2", 2)),
        ("a" * 66 + "😀" + "a" * 66, ("UCS-2", 3)),  # 134 units, but the pair would be cut in two
    ],
)
def test_segments_are_counted_as_they_are_billed(text: str, expected: tuple[str, int]) -> None:
    """160/153 septets or 70/67 UTF-16 units a segment, and nothing is cut in two."""
    assert sms_segments(text) == expected


@pytest.mark.parametrize("char", "çêâîôûëïœ°’«»\u202f\u00a0")
def test_what_french_writes_outside_gsm_is_made_plain(char: str) -> None:
    """None of the characters that make a French reminder cost double survives."""
    assert sms_segments(char)[0] == "UCS-2"
    assert sms_segments(gsm_text(char))[0] == "GSM-7"


@pytest.mark.parametrize("char", "éèàùìòÉÇñüöä£€@")
def test_what_gsm_can_write_stays(char: str) -> None:
    """An accent that costs nothing is kept."""
    assert gsm_text(char) == char


def test_a_french_reminder_halves_its_price() -> None:
    """The two spaces Babel puts in an amount, and one circumflex, no longer cost a second segment."""
    assert sms_segments(REMINDER) == ("UCS-2", 2)
    assert sms_segments(gsm_text(REMINDER)) == ("GSM-7", 1)


def test_a_text_that_needs_ucs2_anyway_keeps_its_accents() -> None:
    """Where nothing would be saved, no letter is changed."""
    assert gsm_text("Où êtes-vous, Łukasz ?") == "Où êtes-vous, Łukasz ?"


def test_decomposed_letters_are_joined() -> None:
    """An accent written as a character of its own (as some systems export names) is not a reason for UCS-2."""
    assert gsm_text("re\u0301gle\u0301") == "réglé"


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=400))
def test_making_plain_never_costs_more_and_is_done_once(text: str) -> None:
    """Whatever the text: doing it twice changes nothing, and GSM-7 never becomes UCS-2."""
    once = gsm_text(text)
    assert gsm_text(once) == once
    assert sms_segments(text)[0] == "UCS-2" or sms_segments(once)[0] == "GSM-7"
