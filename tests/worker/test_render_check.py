"""Faults in the words are found before a debtor reads them."""

import shutil
from pathlib import Path

import pytest

from tests.worker.render_samples import CHANNELS, TEMPLATES, TONES
from worker.render import Wordings
from worker.render.check import check


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The shipped words, to be spoilt."""
    return Path(shutil.copytree(TEMPLATES, tmp_path / "templates"))


@pytest.mark.parametrize("locale", ["fr_FR", "en_GB"])
def test_the_shipped_words_have_no_fault(locale: str) -> None:
    """Every notice on every channel, with much and with little to say."""
    assert check(Wordings(TEMPLATES), dict.fromkeys(TONES, CHANNELS), [locale], ["demo"]) == []


def spoil(path: Path, old: str, new: str) -> int:
    """Replace some words of a file; the line they were on."""
    before, found, after = path.read_text(encoding="utf-8").partition(old)
    assert found
    path.write_text(before + new + after, encoding="utf-8")
    return before.count("\n") + 1


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        (
            "fr/nudge/email.txt",
            "block.signature()",
            "block.singature()",
            "templates/fr/nudge/email.txt: line {line}: 'singature' is undefined; the names are in README.md",
        ),
        (
            "fr/_common/words.txt",
            "{% if consumer and debtor.name %} {{ debtor.name }}{% endif %},",
            "{% if consumer and debtor.name %} {{ debtor.nom }}{% endif %},",
            "templates/fr/_common/words.txt: line {line}: 'nom' is undefined; the names are in README.md",
        ),
        (
            "fr/nudge/sms.txt",
            "{{ say.sms_end() }}{% endif %}",
            "{% endif %}",
            "templates: nudge by sms in fr_FR: must end with the reference",
        ),
        (
            "fr/_common/words.txt",
            "{% macro sms_page(does) %}",
            "{% macro sms_page(does) %}STOP{% endmacro %}{% macro sms_unused(does) %}",
            (
                "templates: nudge by sms in fr_FR: "
                "does not lead to the debtor's page, or has no room for a link of 75 characters"
            ),
        ),
        (
            "fr/nudge/sms.txt",
            "{{ say.sms_end() }}{% endif %}",
            "{{ 'long ' * 60 }}{{ say.sms_end() }}{% endif %}",
            "templates: nudge by sms in fr_FR: takes more than 2 segments",
        ),
        (
            "fr/nudge/sms.txt",
            "{{ say.sms_end() }}{% endif %}",
            "{{ 'long ' * 10 }}{{ say.sms_end() }}{% endif %}",
            "templates: nudge by sms in fr_FR: has no room for a payment link of 65 characters",
        ),
    ],
)
def test_a_fault_that_only_some_debtors_would_meet_is_found(
    copy: Path, file: str, old: str, new: str, problem: str
) -> None:
    """One line says file, line and what was expected, however rare the branch."""
    line = spoil(copy / file, old, new)
    found = check(Wordings(copy), {"nudge": ["email", "sms"]}, ["fr_FR"], [])
    assert problem.format(line=line) in found


def test_a_notice_nobody_wrote_is_named_with_a_guess() -> None:
    """A misspelt notice is not hidden by the words all notices share."""
    found = check(Wordings(TEMPLATES), {"curtesy": ["voice"]}, ["fr_FR", "fr_CA"], [])
    assert found == ["templates/fr: no notice 'curtesy'; did you mean 'courtesy'?"]


def test_a_language_nobody_wrote_is_named() -> None:
    """So is a locale without words."""
    assert check(Wordings(TEMPLATES), {"nudge": ["sms"]}, ["de_DE"], []) == ["templates/de: no words in this language"]


def test_a_creditors_own_words_are_checked_too(copy: Path) -> None:
    """An override is tried like everything else, and named by its own path."""
    own = copy / "creditors" / "demo" / "fr" / "nudge" / "sms.txt"
    own.parent.mkdir(parents=True)
    own.write_text("{{ amuont }} {{ reference }}", encoding="utf-8")
    found = check(Wordings(copy), {"nudge": ["sms"]}, ["fr_FR"], ["demo", "other"])
    assert found == ["templates/creditors/demo/fr/nudge/sms.txt: line 1: 'amuont' is undefined; did you mean 'amount'?"]
