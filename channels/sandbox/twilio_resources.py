"""The shapes of Twilio's answers: a message, a call, a page of either, an error."""

import math
import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlencode

from channels.sandbox.orders import ChannelName
from channels.sandbox.provider import Answer, json_answer

API = "/2010-04-01"
FOLDER: dict[ChannelName, str] = {"sms": "Messages", "voice": "Calls"}
PREFIX: dict[ChannelName, str] = {"sms": "SM", "voice": "CA"}
GSM7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM7_TWICE = frozenset("^{}\\[~]|€\f")
CALL_FOLDERS = ("notifications", "recordings", "payments", "events", "siprec", "streams", "transcriptions")
#: What is not known of a call that still waits in the queue.
NOT_YET = ("answered_by", "caller_name", "duration", "end_time", "forwarded_from")
NEVER = ("group_sid", "parent_call_sid", "phone_number_sid", "price", "start_time", "trunk_sid")

Resource = dict[str, Any]
Form = Mapping[str, str]


def error(status: int, code: int, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Twilio's error body."""
    link = f"https://www.twilio.com/docs/errors/{code}"
    return json_answer(status, {"code": code, "message": message, "more_info": link, "status": status}, headers)


def new_sid(channel: ChannelName) -> str:
    """A fresh SM... or CA...: two letters and 32 hexadecimal digits."""
    return PREFIX[channel] + secrets.token_hex(16)


def segments(body: str) -> int:
    """How many SMS a text takes: 160 or 153 GSM-7 characters each, or 70 or 67 UTF-16 units."""
    if set(body) <= GSM7 | GSM7_TWICE:
        units, whole, part = len(body) + sum(letter in GSM7_TWICE for letter in body), 160, 153
    else:
        units, whole, part = len(body.encode("utf-16-le")) // 2, 70, 67
    return 1 if units <= whole else math.ceil(units / part)


def resource(channel: ChannelName, account: str, sid: str, form: Form, now: datetime | None = None) -> Resource:
    """What Twilio answers to a create, and lists later. It stays queued until its receipts are posted.

    `now` is the provider's time, by default ours.
    """
    uri = f"{API}/Accounts/{account}/{FOLDER[channel]}/{sid}"
    date = format_datetime(now or datetime.now(UTC))
    shared = {
        "account_sid": account,
        "api_version": API[1:],
        "date_created": date,
        "date_updated": date,
        "direction": "outbound-api",
        "from": form.get("From"),
        "price": None,
        "price_unit": "USD",
        "sid": sid,
        "status": "queued",
        "to": form["To"],
        "uri": f"{uri}.json",
    }
    return {**shared, **(_message(uri, form) if channel == "sms" else _call(uri, form))}


def _message(uri: str, form: Form) -> Resource:
    service = form.get("MessagingServiceSid")
    return {
        "body": form.get("Body", ""),
        "date_sent": None,
        "error_code": None,
        "error_message": None,
        "messaging_service_sid": service,
        "num_media": "0",
        "num_segments": "0" if service else str(segments(form.get("Body", ""))),
        "status": "scheduled" if form.get("ScheduleType") == "fixed" else "accepted" if service else "queued",
        "subresource_uris": {"media": f"{uri}/Media.json"},
    }


def _call(uri: str, form: Form) -> Resource:
    return {
        **dict.fromkeys(NOT_YET + NEVER),
        "from_formatted": form["From"],
        "to_formatted": form["To"],
        "queue_time": "0",
        "subresource_uris": {name: f"{uri}/{name.capitalize()}.json" for name in CALL_FOLDERS},
    }


def page(channel: ChannelName, path: str, query: Form, newest_first: Iterator[Resource]) -> tuple[Answer, int]:
    """One page of a list, filtered by To and From, and how many are on it.

    The next one begins after the sid its PageToken carries.
    """
    number, size = int(query.get("Page", 0)), min(int(query.get("PageSize", 50)), 1000)
    wanted = {name.lower(): query[name] for name in ("To", "From") if name in query}
    found = (each for each in newest_first if all(each[name] == value for name, value in wanted.items()))
    if token := query.get("PageToken"):
        next((each for each in found if f"PA{each['sid']}" == token), None)
    items = [each for _, each in zip(range(size + 1), found, strict=False)]
    shown = items[:size]
    return json_answer(200, {FOLDER[channel].lower(): shown, **_frame(path, query, items, number, size)}), len(shown)


def _frame(path: str, query: Form, items: list[Resource], number: int, size: int) -> Resource:
    def uri(**fields: object) -> str:
        return f"{path}?{urlencode({**query, 'PageSize': size, **fields})}"

    more = len(items) > size
    return {
        "page": number,
        "page_size": size,
        "start": number * size,
        "end": number * size + max(min(len(items), size) - 1, 0),
        "uri": uri(Page=number),
        "first_page_uri": uri(Page=0),
        "next_page_uri": uri(Page=number + 1, PageToken=f"PA{items[size - 1]['sid']}") if more else None,
        "previous_page_uri": None,
    }
