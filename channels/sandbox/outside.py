"""The way back: where the sandbox posts to, with what, and when."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from channels.sandbox.background import Background
from channels.sandbox.journal import Exchange, Journal, Message
from channels.sandbox.poster import Poster
from channels.sandbox.reactions import Reaction, Reactions


@dataclass(frozen=True, slots=True)
class Doors:
    """The URLs that a provider's dashboard would hold; None: nothing is posted there."""

    sms: str | None = None
    events: str | None = None
    mail: str | None = None

    @classmethod
    def under(cls, public_url: str, inbound_secret: str = "") -> "Doors":
        """Relance's own paths under a base URL; without the secret of the inbound door, none for mail."""
        hooks = f"{public_url.rstrip('/')}/webhooks"
        mail = f"{hooks}/sendgrid/inbound/{inbound_secret}" if inbound_secret else None
        return cls(f"{hooks}/twilio/sms", f"{hooks}/sendgrid/events", mail)


@dataclass(slots=True)
class Outside:
    """What all that is posted shares. `doors` may be replaced at any time."""

    journal: Journal
    reactions: Reactions
    doors: Doors
    closing: threading.Event = field(default_factory=threading.Event)
    background: Background = field(default_factory=Background)
    poster: Poster = field(init=False)

    def __post_init__(self) -> None:
        self.poster = Poster(self.closing)


class Aftermath:
    """What becomes of one accepted message: `play`, once, before the answer or after it, as its reaction says."""

    def __init__(self, outside: Outside, message: Message, play: Callable[[Exchange, Reaction], None]) -> None:
        self._outside, self._message, self._play = outside, message, play
        self._later: Reaction | None = None

    def before(self, exchange: Exchange) -> None:
        """Once the acceptance is logged."""
        reaction = self._outside.reactions.take(self._message.channel, self._message.to)
        if reaction.early:
            self._play(exchange, reaction)
        else:
            self._later = reaction

    def afterwards(self, exchange: Exchange) -> None:
        """Once the request is over."""
        if (reaction := self._later) is not None:
            self._outside.background.soon(lambda: self._play(exchange, reaction), reaction.seconds)
