"""What is read in of a creditor, where nobody looks until all of it is there: below `relance:{CREDITOR}:import`."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import redis

from worker.backup.families import CREDITORS
from worker.commit import Keys
from worker.store import Script

BELOW = ":import"
#: Commands in one request, fields in one command.
_REQUEST, _FIELDS = 500, 500
#: What may be there of a creditor before its backup is read in: nothing of its cases is in any of these.
HARMLESS = frozenset({"paused", "forgiven", "rate", "forwarder", "events", "import", "import:"})

_SETTLE = (Path(__file__).parent / "settle.lua").read_text()


class Staging:
    """One creditor's. Keys are named by what is behind the creditor's root."""

    def __init__(self, client: redis.Redis, creditor: str) -> None:
        self._client = client
        self.real, self.keys = Keys(creditor), Keys(creditor, BELOW)
        self._list = self.real.named("import")
        self._names: set[str] = set()
        self._commands: list[tuple[Any, ...]] = []

    def clear(self) -> None:
        """Forget what an import that was interrupted has left."""
        for page in pages(self._client.sscan_iter(self._list, count=_REQUEST), _REQUEST):
            self._client.unlink(*map(self.keys.named, page))
        self._client.delete(self._list)

    def put(self, name: str, *commands: tuple[Any, ...]) -> None:
        """Commands on that key, each without its key: `("RPUSH", value, ...)`."""
        self._names.add(name)
        self._commands += [(command[0], self.keys.named(name), *command[1:]) for command in commands]
        if len(self._commands) >= _REQUEST:
            self.flush()

    def put_hash(self, name: str, fields: Mapping[str, str]) -> None:
        """Add these fields."""
        for page in pages(fields.items(), _FIELDS):
            self.put(name, ("HSET", *(each for pair in page for each in pair)))

    def put_sorted_set(self, name: str, scores: Mapping[str, float]) -> None:
        """Add these members."""
        for page in pages(scores.items(), _FIELDS):
            self.put(name, ("ZADD", *(each for member, score in page for each in (score, member))))

    def flush(self) -> None:
        """Have the store do what was put here. A key's name is listed before anything is in it."""
        if not self._names:
            return
        with self._client.pipeline(transaction=True) as pipe:
            pipe.sadd(self._list, *self._names)
            for command in self._commands:
                pipe.execute_command(*command)
            pipe.execute()
        self._names, self._commands = set(), []

    def settle(self) -> str | None:
        """Make it what is known of the creditor, all at once; or the name of a key that is there and forbids it."""
        forbidden = [each.name for each in CREDITORS if not each.name.endswith(":") and each.name not in HARMLESS]
        found = Script(self._client, _SETTLE)([self.real.agenda], [self.real.named(""), *forbidden])
        return str(found) if found else None


def pages(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """So many at a time."""
    rest = iter(items)
    while page := list(islice(rest, size)):
        yield page
