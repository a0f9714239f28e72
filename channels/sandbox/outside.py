"""The way back: where the sandbox posts to, with what, and when."""

import threading
from dataclasses import dataclass, field
from typing import Protocol

from channels.sandbox.background import Background
from channels.sandbox.clock import Clock
from channels.sandbox.journal import Exchange, Journal, Message
from channels.sandbox.listings import Listings
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
    """What the providers of one sandbox share. `doors` may be replaced at any time."""

    journal: Journal
    reactions: Reactions
    doors: Doors
    listings: Listings = field(default_factory=Listings)
    clock: Clock = field(default_factory=Clock)
    closing: threading.Event = field(default_factory=threading.Event)
    background: Background = field(default_factory=Background)
    poster: Poster = field(init=False)

    def __post_init__(self) -> None:
        self.poster = Poster(self.closing)


class Story(Protocol):
    """What becomes of one accepted message."""

    def begin(self, exchange: Exchange, reaction: Reaction) -> None:
        """Learn what shall become of it, before anything does."""
        ...

    def play(self) -> None:
        """Let it happen."""
        ...


class Aftermath:
    """When a story is played: before the answer or after it, as its reaction says.

    With `wait` it is no sooner than in so many seconds, and never early.
    """

    def __init__(self, outside: Outside, message: Message, story: Story, wait: float = 0.0) -> None:
        self._outside, self._message, self._story, self._wait = outside, message, story, wait
        self._later: float | None = None

    def before(self, exchange: Exchange) -> None:
        """Once the acceptance is logged."""
        message = self._message
        reaction = self._outside.reactions.of(message.channel, message.to, message.attempt)
        self._story.begin(exchange, reaction)
        if reaction.early and not self._wait:
            self._story.play()
        else:
            self._later = self._wait + reaction.seconds

    def afterwards(self, _exchange: Exchange) -> None:
        """Once the request is over."""
        if self._later is not None:
            self._outside.background.soon(self._story.play, self._later)
