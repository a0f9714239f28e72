"""Which providers carry a creditor's messages on a channel, here and now: those whose credentials are set."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import cast

from channels import registry
from channels.base import Channel, ConfigurationError
from channels.outbox import Outbox
from channels.settings import TwilioSettings, secret
from channels.twilio_voice import TwilioVoice
from worker.config import OUTBOX, Config


@dataclass(frozen=True, slots=True)
class Route:
    """A channel's providers in order of preference, and why the others are not among them."""

    channel: str
    providers: tuple[str, ...]
    missing: Mapping[str, tuple[str, ...]]

    @property
    def lacks(self) -> str:
        """What is missing, in words; empty when nothing is."""
        return "; ".join(f"{name} lacks {', '.join(variables)}" for name, variables in self.missing.items())


class Providers:
    """The configured providers, built when first used. Shared by threads."""

    def __init__(
        self, config: Config, environ: Mapping[str, str], rehearsed: Callable[[], bool] = lambda: False
    ) -> None:
        self._config = config
        self._environ = environ
        self._rehearsed = rehearsed
        self._built: dict[str, Channel] = {}
        self._lock = Lock()

    @cached_property
    def missing(self) -> dict[str, tuple[str, ...]]:
        """The environment variables each provider lacks; empty for one that can work."""
        return {
            name: tuple(registry.missing(p.kind, registry.settings_for(p.kind, p.settings), self._environ))
            for name, p in self._config.providers.items()
        }

    def able(self, kind: str) -> list[str]:
        """The providers of that kind whose variables are set."""
        return [name for name, p in self._config.providers.items() if p.kind == kind and not self.missing[name]]

    def route(self, creditor: str, channel: str) -> Route:
        """Who carries that creditor's messages on that channel. Never empty: the outbox takes what nobody can."""
        wanted = self._config.providers_for(creditor, channel)
        missing = {name: self.missing[name] for name in wanted if self.missing[name]}
        able = tuple(name for name in wanted if name not in missing and self._may_carry(creditor, channel, name))
        return Route(channel, able or (OUTBOX,), missing)

    def _may_carry(self, creditor: str, channel: str, name: str) -> bool:
        """A task stays with us. All else leaves unless in shadow mode, and in staging only to an address of ours."""
        if self._config.providers[name].kind == "task":
            return True
        who = self._config.creditors[creditor]
        return who.mode == "live" and (who.redirect_to is None or who.redirect_to.address(channel) is not None)

    def pick(self, creditor: str, channel: str, tries: int) -> str:
        """The provider for the next try: the preferred one first, then the others in turn."""
        names = self.route(creditor, channel).providers
        return names[tries % len(names)]

    def get(self, name: str) -> Channel:
        """The provider, ready to send. Raises ConfigurationError, also for one that must not reach real people.

        A rehearsal may have begun on the store after this process did: hence the question each time.
        """
        channel = self._ready(name)
        if channel.real and self._rehearsed():
            raise ConfigurationError(f"{name} reaches real people, and the store held a rehearsal's clock")
        return channel

    def _ready(self, name: str) -> Channel:
        with self._lock:
            if name not in self._built:
                provider = self._config.providers[name]
                settings = registry.settings_for(provider.kind, provider.settings)
                self._built[name] = registry.build(provider.kind, settings, self._environ)
            return self._built[name]

    def faults(self) -> dict[str, str]:
        """Why providers that have all their variables cannot work all the same."""
        found = {}
        for name in self._config.providers:
            try:
                if not self.missing[name]:
                    self._ready(name)
            except ConfigurationError as error:
                found[name] = str(error)
        return found

    @property
    def outbox(self) -> Path:
        """The folder of what must not leave."""
        return cast(Outbox.Settings, registry.settings_for("outbox", self._config.providers[OUTBOX].settings)).folder

    def twilio_tokens(self) -> dict[str, str]:
        """By its variable, the auth token of each Twilio account, or "". Each creditor can have its own."""
        settings = [registry.settings_for(p.kind, p.settings) for p in self._config.providers.values()]
        names = {each.auth_token_env for each in settings if isinstance(each, TwilioSettings)}
        return {name: secret(self._environ, name) for name in sorted(names)}

    def twilio_secrets(self) -> frozenset[str]:
        """All that Twilio may sign with: each account's token, and what `<its variable>_PREVIOUS` holds.

        That is the token which is being replaced, or the secret of a SharedKey.
        """
        tokens = {name: token for name, token in self.twilio_tokens().items() if token}
        before = {secret(self._environ, f"{name}_PREVIOUS") for name in tokens}
        return frozenset({*tokens.values(), *before} - {""})

    def real(self) -> list[str]:
        """The providers in use that reach real people."""
        used = {
            name
            for creditor in self._config.creditors
            for channel in self._config.channels
            for name in self.route(creditor, channel).providers
        }
        return sorted(name for name in used if self._ready(name).real)


def voice_for(config: Config, creditor: str, provider: str, language: str) -> tuple[str, str]:
    """The voice and the language it speaks: the creditor's own for that language, else the provider's."""
    sender = config.creditors[creditor].voice
    own = sender.voices if sender else {}
    stem = language.partition("-")[0]
    tag = language if language in own else next((tag for tag in own if tag.partition("-")[0] == stem), "")
    return (own[tag], tag) if tag else (voice_of(config, provider), language)


def voice_of(config: Config, name: str) -> str:
    """The voice that a provider of calls is set to; empty (by language) if it is set to none, or is not configured."""
    provider = config.providers.get(name)
    if provider is None or provider.kind != "twilio_voice":
        return ""
    return cast(TwilioVoice.Settings, registry.settings_for(provider.kind, provider.settings)).voice
