"""The sandbox's own door on its HTTP ports, for whoever drives it from another process."""

from channels.sandbox.faults import Faults, parse_faults
from channels.sandbox.journal import Journal
from channels.sandbox.provider import Answer, Request, json_answer

PREFIX = "/sandbox/"


def handle(request: Request, journal: Journal, faults: Faults) -> Answer:
    """Serve POST and DELETE /sandbox/faults and GET /sandbox/accepted; 404 for anything else."""
    match request.method, request.url.path:
        case "POST", "/sandbox/faults":
            return _order(request.body, faults)
        case "DELETE", "/sandbox/faults":
            faults.clear()
            return Answer(204)
        case "GET", "/sandbox/accepted":
            return json_answer(200, journal.accepted())
    return json_answer(404, {"error": f"nothing here: {request.method} {request.url.path}"})


def _order(body: bytes, faults: Faults) -> Answer:
    try:
        orders = parse_faults(body)
    except Exception as error:  # YAML's and pydantic's share no narrower base, and the caller is told
        return json_answer(400, {"error": str(error)})
    for fault in orders:
        faults.order(fault)
    return json_answer(201, {"ordered": len(orders)})
