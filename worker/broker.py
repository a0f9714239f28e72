"""dramatiq's Redis broker, made safe against what strangers can put into its queues.

Facts and measurements behind each line: messages that are not messages break dramatiq's consumer and strand those
fetched with them; an exception without the Retries middleware would be acknowledged in silence; redis-py's TimeoutError
is not a ConnectionError, and a lost acknowledgement would stay lost.
"""

import json
from typing import Any, cast

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.encoder import JSONEncoder
from dramatiq.errors import ActorNotFound, ConnectionClosed, DecodeError
from dramatiq.middleware import CurrentMessage, Middleware

from worker.rejected import RejectedJobs
from worker.store import connect, until_it_answers

#: A worker that has not been heard of for so long is dead; its messages go back to their queues.
HEARTBEAT_MS = 15_000

#: What a message must be to be handled at all.
_SHAPE = {"queue_name": str, "actor_name": str, "message_id": str, "message_timestamp": int, "kwargs": dict}


class StrictEncoder(JSONEncoder):
    """JSON, and of a message's shape; everything else is refused before dramatiq trips over it."""

    def decode(self, data: bytes) -> dict[str, Any]:
        """The message's fields. Raises ValueError for what is not a message."""
        fields: Any = json.loads(data)
        if not isinstance(fields, dict):
            raise ValueError("not an object")
        for name, kind in _SHAPE.items():
            if not isinstance(fields.get(name), kind):
                raise ValueError(f"{name}: not what dramatiq puts there")
        options = fields.get("options")
        if not isinstance(options, dict) or not isinstance(options.get("redis_message_id"), str):
            raise ValueError("options.redis_message_id: missing")
        if not isinstance(fields.get("args"), list):
            raise ValueError("args: not a list")
        return fields


class _Consumer(_RedisConsumer):
    """Sets aside what cannot be handled, and goes on with the rest."""

    broker: "SafeBroker"

    def __next__(self) -> Any:
        while True:
            try:
                message = super().__next__()
            except DecodeError as error:
                self._set_aside(error.data, f"not a dramatiq message: {error.error}")
                continue
            except redis.TimeoutError as error:
                raise ConnectionClosed(error) from None
            if message is None or message.queue_name == self.queue_name:
                return message
            self.queued_message_ids.discard(message.message_id)
            self._set_aside(message.encode(), f"queue_name: not the queue it is in ({self.queue_name})")

    def ack(self, message: Any) -> None:
        """Acknowledge; dramatiq repeats it after a ConnectionClosed."""
        try:
            super().ack(message)
        except redis.TimeoutError as error:
            raise ConnectionClosed(error) from None

    def _set_aside(self, data: bytes, reason: str) -> None:
        until_it_answers(lambda: self.broker.rejected.add(data, reason, queue=self.queue_name))
        redis_id = self._redis_id(data)
        if redis_id is not None:
            self.broker.do_ack(self.queue_name, redis_id)

    def _redis_id(self, data: bytes) -> str | None:
        """The broker's own id of those bytes: it is in none of them, so look among what this worker has fetched."""
        broker = self.broker
        root = f"{broker.namespace}:{self.queue_name}"
        fetched = broker.client.smembers(f"{broker.namespace}:__acks__.{broker.broker_id}.{self.queue_name}")
        for redis_id in fetched:
            if broker.client.hget(f"{root}.msgs", redis_id) == data:
                return str(cast(bytes, redis_id), "ascii")
        return None


class SafeBroker(RedisBroker):
    """RedisBroker with the consumer above. The client is ours: bounded waits, bytes."""

    def __init__(self, client: redis.Redis, rejected: RejectedJobs) -> None:
        super().__init__(
            client=client,
            middleware=[CurrentMessage(), _RejectFailures(rejected)],
            namespace="{dramatiq}",
            heartbeat_timeout=HEARTBEAT_MS,
            maintenance_chance=1_000_000,
        )
        self.rejected = rejected

    @property
    def consumer_class(self) -> type[_Consumer]:
        """What reads a queue."""
        return _Consumer

    def waiting(self, queue: str) -> int:
        """How many messages are in a queue, fetched ones included."""
        return int(self.client.hlen(f"{self.namespace}:{queue}.msgs"))


class _RejectFailures(Middleware):
    """A message whose actor raised, or that names no actor, is set aside with its reason; it is never dropped."""

    def __init__(self, rejected: RejectedJobs) -> None:
        self._rejected = rejected

    def after_process_message(
        self, broker: dramatiq.Broker, message: Any, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        """An exception that an actor did not expect: keep the job; a case's next look does not depend on it."""
        if exception is not None:
            self._rejected.add(
                message.encode(), f"{type(exception).__name__} in {message.actor_name}", message.queue_name
            )

    def before_nack(self, broker: dramatiq.Broker, message: Any) -> None:
        """An actor that does not exist."""
        try:
            broker.get_actor(message.actor_name)
        except ActorNotFound:
            reason = "actor_name: no actor of that name"
            until_it_answers(lambda: self._rejected.add(message.encode(), reason, message.queue_name))


def make_broker(url: str, store: redis.Redis) -> SafeBroker:
    """The broker, made dramatiq's global one so that actors bind to it and to nothing else."""
    dramatiq.set_encoder(StrictEncoder())
    broker = SafeBroker(connect(url, text=False), RejectedJobs(store))
    dramatiq.set_broker(broker)
    return broker
