"""What a door of ours says when it does not do what it was asked: `application/problem+json` (RFC 9457)."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from fastapi import Response

MEDIA_TYPE = "application/problem+json"


class Refusal(Exception):
    """An answer that is not what was asked for.

    `detail` and `problems` name places and what was expected there, never a value: it may be somebody's.
    """

    def __init__(
        self, status: int, detail: str, problems: Sequence[str] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.problems = list(problems)
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """As it goes over the wire."""
        body = {"type": "about:blank", "title": HTTPStatus(self.status).phrase, "status": self.status}
        document = {**body, "detail": self.detail, **({"problems": self.problems} if self.problems else {})}
        return Response(json.dumps(document), self.status, self.headers, MEDIA_TYPE)
