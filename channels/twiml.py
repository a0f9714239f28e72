"""What a call says, in Twilio's markup. The call adapter sends it along; a web door may serve the same."""

import re

from twilio.twiml.voice_response import Gather, VoiceResponse

#: A natural voice per language. Twilio's own default is an English one, whatever the text.
VOICES = {
    "fr-FR": "Polly.Lea-Neural",
    "fr-CA": "Polly.Gabrielle-Neural",
    "fr-BE": "Polly.Isabelle-Neural",
    "en-GB": "Polly.Amy-Neural",
    "en-US": "Polly.Joanna-Neural",
    "de-DE": "Polly.Vicki-Neural",
    "es-ES": "Polly.Lucia-Neural",
    "it-IT": "Polly.Bianca-Neural",
    "nl-NL": "Polly.Laura-Neural",
    "pt-PT": "Polly.Ines-Neural",
}

#: Seconds that a person has for a key, once everything was said.
PATIENCE = 7

# The SDK escapes markup and lets these through; a document that holds one is refused (12100).
_UNSPEAKABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def neutral_twiml(text: str, language: str, voice: str = "") -> str:
    """The document that speaks `text` once and hangs up.

    `language` is a BCP 47 tag; `voice` one of Twilio's names, by default one that speaks the language. Both are always
    written, as a text read by the wrong voice cannot be understood.
    """
    response = VoiceResponse()
    _say(response, text, language, voice)
    response.hangup()
    return str(response)


def asking_twiml(text: str, action: str, language: str, voice: str = "") -> str:
    """The document that speaks `text` and posts what was pressed, or after `PATIENCE` seconds nothing, to `action`.

    That is an absolute URL; `language` and `voice` are as in `neutral_twiml`.
    """
    response = VoiceResponse()
    listening = response.gather(
        input="dtmf",
        num_digits=1,
        finish_on_key="",  # else # is no key, but the end of none
        timeout=PATIENCE,
        action=action,
        method="POST",
        action_on_empty_result=True,
    )
    _say(listening, text, language, voice)
    return str(response)


def hangup_twiml() -> str:
    """The document that says nothing and hangs up."""
    response = VoiceResponse()
    response.hangup()
    return str(response)


def _say(verb: VoiceResponse | Gather, text: str, language: str, voice: str) -> None:
    if not voice:
        language = _known(language)
        voice = VOICES.get(language, f"Google.{language}-Standard-A")
    verb.say(_UNSPEAKABLE.sub(" ", text), voice=voice, language=language)


def _known(language: str) -> str:
    """The tag itself where we have a voice for it, else the first one of the same language, else the tag."""
    if language in VOICES:
        return language
    stem = language.partition("-")[0]
    return next((tag for tag in VOICES if tag.partition("-")[0] == stem), language)
