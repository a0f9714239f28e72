"""Jobs that could not be taken: kept whole, with the reason, until an operator retries or drops them.

Payloads hold personal data and stay in the store; only the id, the reason and the size are logged.
"""

import base64
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import cast

import redis
import structlog

_KEY = "relance:rejected"
_log = structlog.get_logger("relance.rejected")


@dataclass(frozen=True, slots=True)
class RejectedJob:
    """One of them. `payload` is what arrived, byte for byte; `at` is real time."""

    id: str
    at: datetime
    queue: str
    reason: str
    payload: bytes


class RejectedJobs:
    """The list. The same bytes rejected for the same reason are one entry, so a poison message cannot fill it."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def add(self, payload: bytes, reason: str, queue: str) -> str:
        """Keep it; returns its id. `reason` holds no personal data: it is logged."""
        job_id = blake2b(payload + reason.encode(), digest_size=6).hexdigest()
        entry = {
            "at": datetime.now(UTC).isoformat(),
            "queue": queue,
            "reason": reason,
            "payload": base64.b85encode(zlib.compress(payload)).decode(),
        }
        self._client.hset(_KEY, job_id, json.dumps(entry))
        _log.warning("job.rejected", rejected=job_id, queue=queue, reason=reason, bytes=len(payload))
        return job_id

    def get(self, job_id: str) -> RejectedJob | None:
        """The one with that id."""
        value = cast("str | None", self._client.hget(_KEY, job_id))
        return _read(job_id, value) if value else None

    def all(self) -> Iterator[RejectedJob]:
        """Every one, oldest first."""
        found = cast("dict[str, str]", self._client.hgetall(_KEY))
        yield from sorted((_read(job_id, value) for job_id, value in found.items()), key=lambda job: job.at)

    def drop(self, job_id: str) -> bool:
        """Forget it; False if there was none."""
        return bool(self._client.hdel(_KEY, job_id))

    def count(self) -> int:
        """How many there are."""
        return self._client.hlen(_KEY)


def _read(job_id: str, value: str) -> RejectedJob:
    entry = json.loads(value)
    payload = zlib.decompress(base64.b85decode(entry["payload"]))
    return RejectedJob(job_id, datetime.fromisoformat(entry["at"]), entry["queue"], entry["reason"], payload)
