"""dramatiq's Redis broker, made safe against what strangers can put into its queues.

Facts and measurements behind each line: messages that are not messages break dramatiq's consumer and strand those
fetched with them; an exception without the Retries middleware would be acknowledged in silence; redis-py's TimeoutError
is not a ConnectionError, and a lost acknowledgement would stay lost; redis-py asks again by itself, and what a first
answer held that never came would stay with a worker that does not know of it.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from typing import Any, cast

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.common import current_millis, q_name
from dramatiq.encoder import JSONEncoder
from dramatiq.errors import ConnectionClosed, DecodeError
from dramatiq.middleware import CurrentMessage, Middleware

from worker.rejected import RejectedJobs
from worker.store import Script, away, connect, until_it_answers

#: A worker that has not been heard of for so long is dead; its messages go back to their queues.
HEARTBEAT_MS = 15_000

#: What a message must be to be handled at all.
_SHAPE = {
    "queue_name": str, "actor_name": str, "args": list, "kwargs": dict, "options": dict,
    "message_id": str, "message_timestamp": int,
}  # fmt: skip

#: How far ahead dramatiq lets a message be delayed.
LONGEST_DELAY_MS = 7 * 86_400_000


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
        if fields.keys() - _SHAPE:
            raise ValueError("has a field that dramatiq does not put there")
        _check_options(fields["options"])
        return fields


def _check_options(options: dict[str, Any]) -> None:
    if not isinstance(options.get("redis_message_id"), str):
        raise ValueError("options.redis_message_id: missing")
    eta = options.get("eta", 0)
    if not isinstance(eta, int) or eta > current_millis() + LONGEST_DELAY_MS:
        raise ValueError("options.eta: not a time within a week")


class _Consumer(_RedisConsumer):
    """Sets aside what cannot be handled, and goes on with the rest."""

    broker: "SafeBroker"

    def __init__(self, broker: "SafeBroker", queue_name: str, prefetch: int, timeout: int) -> None:
        super().__init__(broker, queue_name, prefetch, timeout)
        self._fetched: set[str] = set()
        self._room = Event()
        self._in_hand = broker.in_hand.setdefault(queue_name, set())
        if queue_name != q_name(queue_name):  # delayed: dramatiq holds these itself, and forgot them with its consumer
            self._in_hand.clear()
        with _closing_connections():
            self._take_back()

    def __next__(self) -> Any:
        if not self.message_cache and not self._has_room():
            return None
        while True:
            with _closing_connections():
                try:
                    message = super().__next__()
                except DecodeError as error:
                    self._set_aside(error.data, f"not a dramatiq message: {error.error}")
                    continue
                if message is None:
                    return None
                fault = self._fault(message)
                if not fault:
                    self._in_hand.add(message.options["redis_message_id"])
                    return message
                self.queued_message_ids.discard(message.message_id)
                self._set_aside(message.encode(), fault)

    def ack(self, message: Any) -> None:
        """Acknowledge; dramatiq repeats it after a ConnectionClosed."""
        with _closing_connections():
            super().ack(message)
        self._let_go(message)

    def requeue(self, messages: Any) -> None:
        """Hand back what was fetched and not begun."""
        messages = list(messages)
        with _closing_connections():
            super().requeue(messages)
        for message in messages:
            self._let_go(message)

    def close(self) -> None:
        """Hand back what was fetched and given to nobody; dramatiq forgets it when it stops between two messages."""
        with _closing_connections():
            self._take_back()
        super().close()

    def _has_room(self) -> bool:
        """Wait until half of what may be fetched is done: messages are fetched by the batch, not one by one."""
        self._room.clear()
        return self.outstanding_message_count <= self.prefetch // 2 or self._room.wait(self.timeout / 1000)

    def _let_go(self, message: Any) -> None:
        self._in_hand.discard(message.options["redis_message_id"])
        if self.outstanding_message_count <= self.prefetch // 2:
            self._room.set()

    def _take_back(self) -> None:
        """What is fetched and in nobody's hands (its answer was lost, the worker stops) goes back to its queue."""
        lost = self.broker.fetched(self.queue_name) - self._in_hand
        if lost:
            self.broker.do_requeue(self.queue_name, *lost)

    def _fault(self, message: Any) -> str | None:
        """Why the message cannot be handled here; None if it can."""
        if message.queue_name != self.queue_name:
            return f"queue_name: not the queue it is in ({self.queue_name})"
        if message.actor_name not in self.broker.actors:
            return "actor_name: no actor of that name"
        redis_id = message.options["redis_message_id"]
        if redis_id not in self._fetched:
            self._fetched = self.broker.fetched(self.queue_name)  # once for each batch
        return None if redis_id in self._fetched else "options.redis_message_id: not the one it is stored under"

    def _set_aside(self, data: bytes, reason: str) -> None:
        until_it_answers(lambda: self.broker.rejected.add(data, reason, queue=self.queue_name))
        redis_id = self._redis_id(data)
        if redis_id is not None:
            self.broker.do_ack(self.queue_name, redis_id)

    def _redis_id(self, data: bytes) -> str | None:
        """Under which id those bytes are stored: what they say of themselves need not be true."""
        messages = f"{self.broker.namespace}:{self.queue_name}.msgs"
        for redis_id in self.broker.fetched(self.queue_name) - self._in_hand:
            stored = cast("bytes | None", self.broker.client.hget(messages, redis_id))
            if stored is not None and _same(stored, data):
                return redis_id
        return None


def _same(stored: bytes, data: bytes) -> bool:
    """The same bytes, or the same message written otherwise."""
    try:
        return stored == data or bool(dramatiq.Message.decode(stored) == dramatiq.Message.decode(data))
    except DecodeError:
        return False


@contextmanager
def _closing_connections() -> Iterator[None]:
    """What redis-py says of a lost connection, in dramatiq's word for it: it starts over with a new consumer.

    A server that refuses for now (full, read-only, without its replicas) is as good as lost: what dramatiq hears of in
    other words it does not repeat, and a consumer that cannot hand back what it fetched ends for good.
    """
    try:
        yield
    except redis.RedisError as error:
        if not away(error):
            raise
        raise ConnectionClosed(error) from None


class _Dispatch:
    """dramatiq's one script. What is fetched is asked for once; every other command may be asked again.

    An answer that is lost on the way leaves its messages with this worker: asked again, the server would give others,
    and nobody would ever learn of the first. So that loss must be seen: it makes a new consumer, which takes them back.
    """

    def __init__(self, text: str | bytes, client: redis.Redis, once: redis.Redis) -> None:
        self._again, self._once = Script(client, text), Script(once, text)

    def __call__(self, keys: Sequence[Any], args: Sequence[Any]) -> Any:
        """The script's answer. Raises redis errors."""
        return (self._once if args[0] == "fetch" else self._again)(keys, args)


class SafeBroker(RedisBroker):
    """RedisBroker with the consumer above. The clients are ours: bounded waits, bytes; `once` asks nothing twice."""

    def __init__(self, client: redis.Redis, once: redis.Redis, rejected: RejectedJobs) -> None:
        super().__init__(
            client=client,
            middleware=[CurrentMessage(), _RejectFailures(rejected)],
            heartbeat_timeout=HEARTBEAT_MS,
            maintenance_chance=1_000_000,
        )
        texts = {name: cast("str | bytes", script.script) for name, script in self.scripts.items()}
        self.scripts = {
            "dispatch": _Dispatch(texts["dispatch"], client, once),
            "maxstack": Script(client, texts["maxstack"]),
        }
        self.once = once
        self.rejected = rejected
        #: By queue, the broker's own ids of the messages that worker threads were given and have not finished.
        self.in_hand: dict[str, set[str]] = {}

    @property
    def consumer_class(self) -> type[_Consumer]:
        """What reads a queue."""
        return _Consumer

    def fetched(self, queue: str) -> set[str]:
        """The broker's own ids of what this process has fetched from the queue and not acknowledged."""
        members = self.client.smembers(f"{self.namespace}:__acks__.{self.broker_id}.{queue}")
        return {str(cast(bytes, member), "ascii", "replace") for member in members}

    def waiting(self, *queues: str) -> dict[str, int]:
        """How many messages are in each queue, fetched ones included, in one round trip."""
        with self.client.pipeline(transaction=False) as pipe:
            for queue in queues:
                pipe.hlen(f"{self.namespace}:{queue}.msgs")
            return dict(zip(queues, pipe.execute(), strict=True))


class _RejectFailures(Middleware):
    """A message whose actor raised is set aside with its reason; it is never dropped."""

    def __init__(self, rejected: RejectedJobs) -> None:
        self._rejected = rejected

    def after_process_message(
        self, broker: dramatiq.Broker, message: Any, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        """An exception that an actor did not expect: keep the job; a case's next look does not depend on it."""
        if exception is not None:
            reason = f"{type(exception).__name__} in {message.actor_name}"
            until_it_answers(lambda: self._rejected.add(message.encode(), reason, message.queue_name), patient=True)


def make_broker(url: str, store: redis.Redis) -> SafeBroker:
    """The broker, made dramatiq's global one so that actors bind to it and to nothing else."""
    dramatiq.set_encoder(StrictEncoder())
    broker = SafeBroker(connect(url, text=False), connect(url, text=False, retries=0), RejectedJobs(store))
    dramatiq.set_broker(broker)
    return broker
