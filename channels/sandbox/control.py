"""The sandbox's own door on its HTTP ports, for whoever drives it from another process."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from channels.sandbox.faults import Faults, parse_faults
from channels.sandbox.outside import Outside
from channels.sandbox.provider import Answer, Request, json_answer
from channels.sandbox.reactions import parse_reactions

PREFIX = "/sandbox/"

Ordered = TypeVar("Ordered")


def handle(request: Request, outside: Outside, faults: Faults) -> Answer:
    """Serve what README.md lists; 404 for anything else."""
    match request.method, request.url.path:
        case "POST", "/sandbox/faults":
            return _order(request.body, parse_faults, faults.order)
        case "DELETE", "/sandbox/faults":
            faults.clear()
            return Answer(204)
        case "POST", "/sandbox/reactions":
            return _order(request.body, parse_reactions, outside.reactions.order)
        case "DELETE", "/sandbox/reactions":
            outside.reactions.clear()
            return Answer(204)
        case "GET", "/sandbox/accepted":
            return json_answer(200, outside.journal.accepted())
    return json_answer(404, {"error": f"nothing here: {request.method} {request.url.path}"})


def _order(body: bytes, parse: Callable[[bytes], Sequence[Ordered]], order: Callable[[Ordered], None]) -> Answer:
    try:
        orders = parse(body)
    except Exception as error:  # YAML's and pydantic's share no narrower base, and the caller is told
        return json_answer(400, {"error": str(error)})
    for each in orders:
        order(each)
    return json_answer(201, {"ordered": len(orders)})
