"""The page for those who write words is true."""

import re
from dataclasses import fields

import pytest
from babel import Locale

from tests.worker.render_samples import ERRANDS, LOCALES, TEMPLATES, TODAY, TONES, Creditor, case, invoices
from worker.render.facts import FACT_TYPES, facts_for

README = (TEMPLATES / "README.md").read_text(encoding="utf-8")


def test_every_name_a_template_may_use_is_in_the_table() -> None:
    """A fact that is given is a fact that is documented."""
    facts = facts_for(
        case=case(),
        lines=invoices(1),
        creditor=Creditor(),
        locale=Locale.parse("fr_FR"),
        today=TODAY,
        deadline=None,
        firmer=False,
        reference="R",
        earlier=(),
    )
    hidden = {"value", "locale", "content_id", "data"}  # what a Day's words and a payment code's picture are made from
    names = {*facts, *(field.name for fact in FACT_TYPES for field in fields(fact))} - hidden
    assert [name for name in sorted(names) if not re.search(rf"`(\w+\.)*\.?{name}\b", README)] == []


@pytest.mark.parametrize("notice", sorted(TONES))
def test_every_notice_has_its_tone_in_the_table_and_its_words_in_each_language(notice: str) -> None:
    """No notice is without a tone, no language without the notice."""
    row = next(line for line in README.splitlines() if line.startswith(f"| {TONES[notice]} "))
    assert f"`{notice}`" in row
    for locale in LOCALES:
        assert {path.name for path in (TEMPLATES / locale[:2] / notice).iterdir()} >= {"email.txt", "sms.txt"}


def test_no_folder_of_words_is_forgotten() -> None:
    """What lies in the folder is what the tests hold to the rules."""
    for locale in LOCALES:
        found = {path.name for path in (TEMPLATES / locale[:2]).iterdir() if path.is_dir()}
        assert found == {*TONES, *ERRANDS, "_common"}
