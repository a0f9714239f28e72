"""Webhooks as Twilio sends them: signed forms, tried again as the URL's fragment asks."""

import base64
import hmac
import uuid
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs, urldefrag, urlencode, urlsplit

from channels.sandbox.poster import Post, Poster, Reply, Rules

FORM = "application/x-www-form-urlencoded; charset=UTF-8"
EVERYTHING = ("4xx", "5xx", "ct", "rt")
#: Twilio waits 15 s for an answer; a sandbox shall end promptly.
LONGEST = 5.0


def sign(token: str, url: str, fields: Mapping[str, str]) -> str:
    """X-Twilio-Signature of a form posted to a URL: base64 of HMAC-SHA1 over the URL and the sorted fields."""
    signed = url + "".join(f"{name}{value}" for name, value in sorted(fields.items()))
    return base64.b64encode(hmac.digest(token.encode(), signed.encode(), "sha1")).decode()


def rules_of(fragment: str) -> Rules:
    """What a URL's fragment asks: `rc` retries (1) on `rp` ("ct"), `ct` and `rt` milliseconds. Nonsense is ignored."""
    asked = {name: values[-1] for name, values in parse_qs(fragment).items()}
    policies = asked.get("rp", "ct").split(",")
    again = EVERYTHING if "all" in policies else policies
    retries = _bounded(asked.get("rc"), 0, 5, 1)
    pauses = tuple(min(0.05 * 2**number, 1.0) for number in range(retries))
    connect = _bounded(asked.get("ct"), 100, 10_000, 5_000) / 1000
    read = _bounded(asked.get("rt"), 100, 15_000, 15_000) / 1000
    return Rules(frozenset(again), pauses, connect, min(read, LONGEST))


def _bounded(text: str | None, low: int, high: int, otherwise: int) -> int:
    return min(max(int(text), low), high) if text is not None and text.isdecimal() else otherwise


def call_back(
    poster: Poster,
    url: str,
    token: str,
    fields: Mapping[str, str],
    *,
    method: str = "POST",
    told: Callable[[int, Reply], None] = lambda _try, _reply: None,
) -> Reply:
    """Send the fields to the URL, signed with an account's token. A GET carries them in its query."""
    bare, fragment = urldefrag(url)
    if method == "GET":
        bare = f"{bare}{'&' if urlsplit(bare).query else '?'}{urlencode(fields)}"
    form = {} if method == "GET" else fields
    headers = {
        "Content-Type": FORM,
        "X-Twilio-Signature": sign(token, bare, form),
        "I-Twilio-Idempotency-Token": str(uuid.uuid4()),
    }
    return poster.post(Post(bare, urlencode(form).encode(), headers, method), rules_of(fragment), told)
