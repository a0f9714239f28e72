"""Lists that lag behind: orders by which something accepted appears in its provider's list only later."""

from pathlib import Path

from pydantic.dataclasses import dataclass

from channels.sandbox.journal import Exchange, Message
from channels.sandbox.orders import ChannelName, Orders, Seconds, Share, Times, parse


@dataclass(frozen=True, slots=True, config={"extra": "forbid"})
class Listing:
    """What is accepted appears in Twilio's lists, and in SendGrid's Email Activity, so many `seconds` later.

    A fetch by sid finds it at once. The other fields are those of every order (`orders.Aimed`).
    Raises `pydantic.ValidationError` for an unknown channel or a number out of range.
    """

    channel: ChannelName | None = None
    to: str | None = None
    times: Times | None = None
    every: Times = 1
    share: Share | None = None
    seconds: Seconds = 30.0


def parse_listings(text: str | bytes) -> list[Listing]:
    """Read one or a list of them, in JSON or YAML; errors as `orders.parse`."""
    return parse(Listing, text)


def load_listings(path: Path) -> list[Listing]:
    """Read those ordered in a JSON or YAML file; errors as `orders.parse`."""
    return parse_listings(path.read_bytes())


class Listings(Orders[Listing]):
    """The orders in force."""

    def delay(self, message: Message, exchange: Exchange) -> float:
        """The seconds until the lists show a message that is accepted now; where an order says so, the log has it."""
        found = self.take(message.channel, message.to, message.attempt)
        if found is None:
            return 0.0
        exchange.delayed(message, found.seconds)
        return found.seconds
