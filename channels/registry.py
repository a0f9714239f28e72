"""Every kind of provider there is. A new one is one file beside this one, and one line here.

A kind's class is imported when it is asked for, and the provider's SDK when one is built: a command that sends nothing
does not wait for them.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from channels.base import Channel, ConfigurationError
from channels.settings import secret

KINDS: dict[str, str] = {
    "outbox": "channels.outbox:Outbox",
    "postback": "channels.postback:Postback",
    "sendgrid_email": "channels.sendgrid_email:SendgridEmail",
    "smtp_email": "channels.smtp_email:SmtpEmail",
    "task": "channels.task:Task",
    "twilio_sms": "channels.twilio_sms:TwilioSms",
    "twilio_voice": "channels.twilio_voice:TwilioVoice",
}


def settings_for(kind: str, mapping: Mapping[str, Any]) -> BaseModel:
    """A provider entry's settings, validated; `mapping` is what YAML says, without `kind`.

    Raises ConfigurationError, which names the setting and what was expected of it.
    """
    try:
        return cast(BaseModel, _class(kind).Settings.model_validate(dict(mapping)))
    except ValidationError as error:
        raise ConfigurationError(_explain(kind, error, _class(kind).Settings)) from None


def channels_of(kind: str) -> tuple[str, ...]:
    """The channels that a kind can serve. Raises ConfigurationError for an unknown kind."""
    return cast(tuple[str, ...], _class(kind).channels)


def missing(kind: str, settings: BaseModel, environ: Mapping[str, str]) -> list[str]:
    """The environment variables without which this provider cannot work, and which have no value.

    Raises ConfigurationError for an unknown kind or a secret's file that cannot be read.
    """
    return [name for name in _class(kind).required(settings) if not secret(environ, name)]


def build(kind: str, settings: BaseModel, environ: Mapping[str, str]) -> Channel:
    """A provider ready to send. Raises ConfigurationError for a missing variable or a value that cannot work."""
    return cast(Channel, _class(kind).from_settings(settings, environ))


def _class(kind: str) -> Any:
    if kind not in KINDS:
        raise ConfigurationError(f"kind: {kind!r} is not a kind of provider{_guess(kind, list(KINDS))}")
    module, _, name = KINDS[kind].partition(":")
    return getattr(import_module(module), name)


def _explain(kind: str, error: ValidationError, model: type[BaseModel]) -> str:
    return f"{kind}: " + "; ".join(_line(dict(problem), model) for problem in error.errors(include_input=False))


def _line(problem: dict[str, Any], model: type[BaseModel]) -> str:
    place = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        return f"{place}: not a setting of this kind{_guess(place, list(model.model_fields))}"
    return f"{place}: {problem['msg']}" if place else str(problem["msg"])


def _guess(word: str, known: list[str]) -> str:
    close = get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(sorted(known))}"
