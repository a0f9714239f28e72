"""What a call says."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.base import Rejected
from channels.twiml import VOICES, neutral_twiml
from tests.channels.peers import Provider, Reply, closed_port
from tests.channels.samples import VOICE, contract, twilio

SCHEMA: dict[str, Any] = contract("twiml_voice_schema.json")


def say(document: str) -> ET.Element:
    """The one element that speaks."""
    (element,) = ET.fromstring(document).iter("Say")  # noqa: S314 our own document
    return element


@settings(max_examples=50)
@given(st.text())
def test_any_text_makes_a_document_that_can_be_parsed(text: str) -> None:
    """Markup is escaped and control characters are dropped, so no wording breaks a call."""
    spoken = say(neutral_twiml(text, "fr-FR")).text or ""
    assert len(spoken) <= len(text)


def test_the_text_is_spoken_once_and_the_call_ends() -> None:
    """Nobody has confirmed who listens: it is said once, and then the line is free."""
    root = ET.fromstring(neutral_twiml("Bonjour <Éléonore> & fils", "fr-FR"))  # noqa: S314 our own document
    assert [element.tag for element in root] == ["Say", "Hangup"]
    assert root[0].text == "Bonjour <Éléonore> & fils"


@pytest.mark.parametrize(
    ("language", "voice", "expected"),
    [
        *((language, "", (language, voice)) for language, voice in VOICES.items()),
        ("fr", "", ("fr-FR", VOICES["fr-FR"])),
        ("fr-CH", "", ("fr-FR", VOICES["fr-FR"])),
        ("pl-PL", "", ("pl-PL", "Google.pl-PL-Standard-A")),
        ("fr-FR", "Google.fr-FR-Neural2-B", ("fr-FR", "Google.fr-FR-Neural2-B")),
    ],
)
def test_voice_and_language_are_always_set_and_go_together(
    language: str, voice: str, expected: tuple[str, str]
) -> None:
    """French read by an English voice cannot be understood, and an invalid pair is not read at all."""
    element = say(neutral_twiml("Bonjour", language, voice))
    assert (element.get("language"), element.get("voice")) == expected


def test_the_document_keeps_to_twilios_elements() -> None:
    """Every element and attribute is one that the provider knows, in a place where it knows it."""
    root = ET.fromstring(neutral_twiml("Bonjour", "fr-FR"))  # noqa: S314 our own document
    allowed = SCHEMA[root.tag]["children"]
    for element in root:
        assert set(element.keys()) <= set(allowed[element.tag])


def test_words_too_long_for_inline_twiml_are_refused_unsent() -> None:
    """Twilio takes 4000 characters; a cut sentence would say something else."""
    message = replace(VOICE, callback_url="", text="Bonjour. " * 500)
    with pytest.raises(Rejected) as caught:
        twilio("twilio_voice", f"http://127.0.0.1:{closed_port()}").send(message)
    assert caught.value.why == "content"


def test_the_call_carries_the_document(provider: Provider) -> None:
    """Without a URL of ours to ask, the words go with the call, by the voice that the settings name."""
    provider.reply = Reply(201, {"sid": "CA1"})
    twilio("twilio_voice", provider.url, voice="Polly.Celine").send(replace(VOICE, callback_url=""))
    assert b"Polly.Celine" in provider.last.body
    assert json.loads(provider.reply.raw)["sid"] == "CA1"
