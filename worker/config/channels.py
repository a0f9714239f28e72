"""channels.yaml: the channels there are, and the providers that carry them."""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from channels import registry
from channels.base import ConfigurationError
from worker.config import grammar
from worker.config.frozen import Frozen
from worker.config.model import OUTBOX, ChannelRules, Provider
from worker.config.names import ProviderName
from worker.config.strategy import Name, WaitText
from worker.problems import Problem, unknown

_RESEND = re.compile(r"resend_after (.+)")


def _on_uncertain(value: object) -> timedelta | None:
    """`hold`, or `resend_after 2h`: how long after the call."""
    if value == "hold":
        return None
    found = _RESEND.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise ValueError("expected 'hold', or 'resend_after' and a time to wait such as '2h'")
    return grammar.wait(found[1])


OnUncertain = Annotated[timedelta | None, BeforeValidator(_on_uncertain)]


class ChannelFile(Frozen):
    """A channel: its providers, the preferred one first, and what is done about a message that may have gone."""

    providers: tuple[ProviderName, ...] = Field(min_length=1)
    on_uncertain: OnUncertain = None
    receipt_within: WaitText = timedelta(minutes=3)
    look_again: WaitText = timedelta(minutes=10)

    def value(self, name: str) -> ChannelRules:
        """What the worker uses."""
        return ChannelRules(name, self.providers, self.receipt_within, self.look_again, self.on_uncertain)


class ProviderFile(BaseModel):
    """A provider: its kind; everything else is a setting of that kind."""

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: str

    @field_validator("kind")
    @classmethod
    def _known_kind(cls, value: str) -> str:
        if value not in registry.KINDS:
            raise ValueError(unknown(value, "a kind of provider", registry.KINDS))
        return value

    @model_validator(mode="after")
    def _settings_of_its_kind(self) -> Self:
        try:
            registry.settings_for(self.kind, self.settings)
        except ConfigurationError as error:
            raise ValueError(str(error)) from None
        return self

    def value(self, name: str) -> Provider:
        """What the worker uses."""
        return Provider(name, self.kind, self.settings)

    @property
    def settings(self) -> dict[str, Any]:
        """The entry without its kind."""
        return dict(self.model_extra or {})


class ChannelsFile(Frozen):
    """The whole file."""

    channels: Mapping[Name, ChannelFile] = Field(min_length=1)
    providers: Mapping[Name, ProviderFile] = Field(min_length=1)


def faults(file: ChannelsFile, environ: Mapping[str, str] | None) -> Iterator[Problem]:
    """Providers of another channel, an outbox that is none, and credentials that are half set."""
    yield from _outbox(file)
    for channel, rules in file.channels.items():
        for index, name in enumerate(rules.providers):
            if says := mismatch(channel, file.providers[name].kind):
                yield Problem(("channels", channel, "providers", index), f"{name!r} {says}")
    if environ is not None:
        for name, provider in file.providers.items():
            yield from _half_set(name, provider, environ)


def mismatch(channel: str, kind: str) -> str | None:
    """Why a provider of that kind cannot carry that channel; None if it can."""
    if channel in (served := registry.channels_of(kind)):
        return None
    return f"cannot carry {channel}: its kind, {kind}, serves {', '.join(served)}"


def _outbox(file: ChannelsFile) -> Iterator[Problem]:
    """It is used by its name where nothing may leave, so the name must keep its word."""
    found = file.providers.get(OUTBOX)
    if found is None:
        yield Problem(("providers",), f"{OUTBOX!r} is required (kind: outbox): it takes what must not leave")
    elif found.kind != "outbox":
        yield Problem(
            ("providers", OUTBOX, "kind"), f"{found.kind!r} is not outbox: this entry takes what must not leave"
        )


def _half_set(name: str, provider: ProviderFile, environ: Mapping[str, str]) -> Iterator[Problem]:
    """Nothing set means the outbox, on purpose. Half set would mean it by mistake, and debtors would hear nothing."""
    settings = registry.settings_for(provider.kind, provider.settings)
    needed = registry.missing(provider.kind, settings, {})
    try:
        missing = registry.missing(provider.kind, settings, environ)
    except ConfigurationError as error:
        yield Problem(("providers", name), str(error))
        return
    if 0 < len(missing) < len(needed):
        given = ", ".join(variable for variable in needed if variable not in missing)
        yield Problem(("providers", name), f"{given} is set but {', '.join(missing)} is not")
