"""What the configuration folder says, once read and checked: frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from worker.config.creditor import Creditor
from worker.dunning.model import DebtorKind
from worker.dunning.strategy import Strategy

#: The provider that a channel without credentials and a creditor in shadow mode send through: files, and nobody else.
OUTBOX = "outbox"


class ConfigError(Exception):
    """The folder cannot be used. `problems` has every fault of every file, one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider entry: what kind it is of (see `channels/registry.py`) and its settings, as that kind wants them."""

    name: str
    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChannelRules:
    """A channel and the names of its providers, the preferred one first; what is done about an uncertain message.

    A receipt is waited for `receipt_within` of the call's beginning; then the provider is asked, and, not having it,
    once more `look_again` after the call's bound. `resend_after`: where nobody can tell, it is sent again so long after
    the call, as a possible copy (None: it is held until a person settles it).
    """

    name: str
    providers: tuple[str, ...]
    receipt_within: timedelta = timedelta(minutes=3)
    look_again: timedelta = timedelta(minutes=10)
    resend_after: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything operators tune. `digest`: 12 hex digits of the SHA-256 of all its files."""

    creditors: Mapping[str, Creditor]
    strategies: Mapping[str, Strategy]
    channels: Mapping[str, ChannelRules]
    providers: Mapping[str, Provider]
    digest: str
    folder: Path

    def providers_for(self, creditor: str, channel: str) -> tuple[str, ...]:
        """The names of the providers that may carry that creditor's messages on that channel, in order."""
        own = self.creditors[creditor].providers
        return own.get(channel, self.channels[channel].providers)

    def strategy_for(self, creditor: str, kind: DebtorKind) -> Strategy | None:
        """The strategy that creditor uses for debtors of that kind when a job names none; None if it has none."""
        name = self.creditors[creditor].strategies.get(kind)
        return None if name is None else self.strategies[name]
