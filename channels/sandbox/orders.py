"""Orders of any kind: which messages they are meant for, how often they apply, and how they are written down."""

import hashlib
import threading
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Annotated, Any, Generic, Literal, Protocol, TypeVar

import yaml
from pydantic import Field, TypeAdapter

ChannelName = Literal["email", "sms", "voice"]
Times = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]


class Aimed(Protocol):
    """What every order says of the messages it is meant for.

    `channel` and `to` (a glob over the address, case ignored) narrow it, None being any. Of those, `share` (0 to 1)
    picks some by a hash of the sandbox's seed, the order and the attempt, the same ones in every run; of those again,
    `every` picks each n-th as they come; and `times` is how many may meet it.
    """

    @property
    def channel(self) -> ChannelName | None: ...
    @property
    def to(self) -> str | None: ...
    @property
    def times(self) -> int | None: ...
    @property
    def every(self) -> int: ...
    @property
    def share(self) -> float | None: ...


Ordered = TypeVar("Ordered", bound=Aimed)


def parse(kind: type[Ordered], text: str | bytes) -> list[Ordered]:
    """Read one order or a list of them, in JSON or YAML. Raises `ValueError` or `yaml.YAMLError` for anything else."""
    found, order = yaml.safe_load(text) or [], TypeAdapter(kind)
    return [order.validate_python(_named(each)) for each in (found if isinstance(found, list) else [found])]


def _named(found: Any) -> Any:
    """An order with its fields by name: YAML reads a bare `on` as a truth value."""
    return {("on" if name is True else name): value for name, value in found.items()} if type(found) is dict else found


def meets(order: Aimed, channel: ChannelName, to: str) -> bool:
    """Is it meant for messages of that channel to that address?"""
    return order.channel in (None, channel) and (order.to is None or fnmatchcase(to.lower(), order.to.lower()))


def picked(order: Aimed, seed: int, key: str) -> bool:
    """Is this key in the order's share? The same seed, order and key are always answered the same."""
    if order.share is None:
        return True
    digest = hashlib.blake2b(f"{seed}\n{order!r}\n{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) < order.share * 2**64


class Orders(Generic[Ordered]):
    """The orders in force, shared by every server thread. The first whose turn it is wins."""

    def __init__(self, orders: Iterable[Ordered] = (), seed: int = 0) -> None:
        self._lock, self._seed = threading.Lock(), seed
        self._counted = [_Counted(order) for order in orders]

    def order(self, order: Ordered) -> None:
        """Add one after those already ordered."""
        with self._lock:
            self._counted.append(_Counted(order))

    def clear(self) -> None:
        """Forget them all."""
        with self._lock:
            self._counted.clear()

    def take(self, channel: ChannelName, to: str, key: str = "") -> Ordered | None:
        """The order this message meets, one of its `times` used up, or None. `key` is its attempt, where known.

        Later orders do not count what an earlier one took.
        """
        with self._lock:
            found = (each for each in self._counted if each.takes(channel, to, key or to, self._seed))
            return next((each.order for each in found), None)


class _Counted(Generic[Ordered]):
    def __init__(self, order: Ordered) -> None:
        self.order = order
        self._seen = self._taken = 0

    def takes(self, channel: ChannelName, to: str, key: str, seed: int) -> bool:
        """Count a message it is meant for; true when it is this one's turn."""
        order = self.order
        if self._taken == order.times or not meets(order, channel, to) or not picked(order, seed, key):
            return False
        self._seen += 1
        turn = self._seen % order.every == 0
        self._taken += turn
        return turn
