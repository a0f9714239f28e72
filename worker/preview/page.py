"""The page: chapters put into `page.html`, everything inserted escaped, nothing on it fetched from anywhere.

Its one script, ours, makes an email's frame as high as the email; the policy in the page lets no other run.
"""

import re
import xml.etree.ElementTree as ET
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from hashlib import sha256
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from channels.base import Message
from channels.twiml import neutral_twiml
from worker.app import Setup
from worker.dunning.strategy import Step, When
from worker.preview.sheets import Chapter
from worker.providers import voice_for
from worker.render import sms_segments

TONES = ("courtesy", "courteous", "firm and polite", "firm", "formal")
CHANNELS = {"email": "email", "sms": "SMS", "voice": "automated call", "task": "a person"}
KINDS = {"business": "businesses", "consumer": "consumers", "public": "public buyers"}
VARIANTS = {
    "one": "one invoice",
    "several": "several invoices and a credit note",
    "promise": "one invoice, after a broken promise",
}
PLACES = {
    "greeting": "To whoever picks up",
    "menu": "Once the right person has pressed their key",
    "date": "When they want to name a date",
    "promised": "Once they have picked one",
}
_ORIGINS = {"due": "the due date", "previous": "the step before", "previous_deadline": "the last deadline"}


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a call says, in which voice and language, as the provider is told."""

    text: str
    voice: str
    language: str


def page(setup: Setup, chapters: Sequence[Chapter]) -> str:
    """The whole HTML document."""
    script = _own("page.js")
    digest = b64encode(sha256(script.encode()).digest()).decode()
    document = (
        _environment()
        .get_template("page.html")
        .render(
            chapters=chapters,
            digest=setup.config.digest,
            css=_own("page.css"),
            script=script,
            script_hash=f"sha256-{digest}",
            spoken=lambda chapter, message: spoken(setup, chapter.example.creditor.id, message),
        )
    )
    return document.strip()


def _own(name: str) -> Markup:
    """A file of ours, as it stands."""
    return Markup((files("worker.preview") / name).read_text(encoding="utf-8").strip())  # noqa: S704


def spoken(setup: Setup, creditor: str, message: Message) -> Spoken:
    """The words of a call, read back from the document that the provider would be given."""
    provider = setup.config.providers_for(creditor, "voice")[0]
    voice, language = voice_for(setup.config, creditor, provider, message.language)
    document = neutral_twiml(message.text, language, voice)
    say = ET.fromstring(document).find("Say")  # noqa: S314
    assert say is not None  # noqa: S101  # a call says something
    return Spoken(say.text or "", say.get("voice", ""), say.get("language", ""))


def shown(message: Message) -> str:
    """The email's HTML with its pictures inside, and with links that open nothing."""
    html = message.html
    for picture in message.attachments:
        if picture.content_id:
            data = f"data:{picture.content_type};base64,{b64encode(picture.content).decode()}"
            html = html.replace(f"cid:{picture.content_id}", data)
    return re.sub(r"<head[^>]*>", lambda head: f'{head[0]}<base target="_blank">', html, count=1, flags=re.I)


def waits_for(step: Step) -> str:
    """Its day, in words: "25 days after the due date and 1 day after the last deadline, whichever is later"."""
    days = [_day(when) for when in step.when]
    if len(days) == 1:
        return days[0]
    return f"{', '.join(days[:-1])} and {days[-1]}, whichever is {'later' if len(days) == 2 else 'latest'}"


def _day(when: When) -> str:
    origin = _ORIGINS[when.origin]
    if when.days == 0:
        return f"the day of {origin}"
    count = abs(when.days)
    unit = f"{'business ' if when.business else ''}day{'' if count == 1 else 's'}"
    return f"{count} {unit} {'after' if when.days > 0 else 'before'} {origin}"


def _date(day: date) -> str:
    return f"{day:%a} {day.day} {day:%b %Y}"


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("worker.preview", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"TONES": TONES, "KINDS": KINDS, "VARIANTS": VARIANTS, "PLACES": PLACES}
    environment.filters |= {
        "channel_name": CHANNELS.__getitem__,
        "date": _date,
        "segments": sms_segments,
        "sentence": _sentence,
        "shown": shown,
        "title": lambda name: _sentence(name.replace("_", " ")).replace("Sms", "SMS"),
        "waits_for": waits_for,
    }
    return environment
