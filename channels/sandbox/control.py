"""The sandbox's own door on its HTTP ports, for whoever drives it from another process."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from pydantic import TypeAdapter

from channels.sandbox.event_webhook import EventWebhook
from channels.sandbox.faults import Fault, Faults, parse_faults
from channels.sandbox.listings import Listing, parse_listings
from channels.sandbox.outside import Doors, Outside
from channels.sandbox.people import Heard, Mail, People, Sms
from channels.sandbox.provider import Answer, Request, json_answer
from channels.sandbox.reactions import Reaction, parse_reactions

PREFIX = "/sandbox/"

Ordered = TypeVar("Ordered", Fault, Reaction, Listing)
Written = TypeVar("Written", Sms, Mail)


@dataclass(frozen=True, slots=True)
class Controls:
    """What can be driven."""

    outside: Outside
    faults: Faults
    events: EventWebhook
    people: People


def handle(request: Request, controls: Controls) -> Answer:
    """Serve what README.md lists; 400 for what cannot be understood, 404 for anything else."""
    try:
        return _handle(request, controls)
    except Exception as error:  # YAML's and pydantic's share no narrower base, and the caller is told
        return json_answer(400, {"error": str(error)})


def _handle(request: Request, controls: Controls) -> Answer:
    outside, body = controls.outside, request.body
    match request.method, request.url.path:
        case "POST", "/sandbox/faults":
            return _order(parse_faults(body), controls.faults.order)
        case "DELETE", "/sandbox/faults":
            controls.faults.clear()
            return Answer(204)
        case "POST", "/sandbox/reactions":
            return _order(parse_reactions(body), outside.reactions.order)
        case "DELETE", "/sandbox/reactions":
            outside.reactions.clear()
            return Answer(204)
        case "POST", "/sandbox/listings":
            return _order(parse_listings(body), outside.listings.order)
        case "DELETE", "/sandbox/listings":
            outside.listings.clear()
            return Answer(204)
        case "POST", "/sandbox/doors":
            outside.doors = Doors.under(**TypeAdapter(dict[str, str]).validate_json(body))
            return Answer(204)
        case "POST", "/sandbox/sms":
            return _write(controls.people.sms, Sms, body)
        case "POST", "/sandbox/mail":
            return _write(controls.people.mail, Mail, body)
        case "GET", "/sandbox/public-key":
            return json_answer(200, {"public_key": controls.events.public_key})
        case "GET", "/sandbox/accepted":
            return json_answer(200, outside.journal.accepted())
    return json_answer(404, {"error": f"nothing here: {request.method} {request.url.path}"})


def _order(orders: Sequence[Ordered], order: Callable[[Ordered], None]) -> Answer:
    for each in orders:
        order(each)
    return json_answer(201, {"ordered": len(orders)})


def _write(write: Callable[[Written], Heard], kind: type[Written], body: bytes) -> Answer:
    heard: Any = write(TypeAdapter(kind).validate_json(body))
    return json_answer(200, asdict(heard))
