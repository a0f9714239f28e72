"""What a Redis server says of itself: whether it may forget what it holds, and what it can promise to keep.

Read from `INFO` alone: managed servers forbid `CONFIG`.
"""

from dataclasses import dataclass

import redis

#: The first Redis that can say what is on disk (`WAITAOF`); a Valkey names the Redis that it descends from.
SAYS_WHAT_IS_ON_DISK = (7, 2)


@dataclass(frozen=True, slots=True)
class Server:
    """`policy`: what it evicts when it is full. `appends`: it keeps an append-only file. `replicas`: how many copy it
    now; `guarded`: it takes no write that no replica hears of (`min-replicas-to-write`).
    """

    version: tuple[int, int]
    policy: str
    appends: bool
    replicas: int
    guarded: bool

    @property
    def can_wait(self) -> bool:
        """Can it say what is on disk?"""
        return self.version >= SAYS_WHAT_IS_ON_DISK


def ask(client: redis.Redis) -> Server:
    """What the server behind this client says. Raises redis errors."""
    said = client.info()
    major, minor, *_ = str(said["redis_version"]).split(".")
    return Server(
        version=(int(major), int(minor)),
        policy=str(said.get("maxmemory_policy", "")),
        appends=bool(said.get("aof_enabled")),
        replicas=int(said.get("connected_slaves", 0)),
        guarded="min_slaves_good_slaves" in said,  # there only where a number is set
    )
