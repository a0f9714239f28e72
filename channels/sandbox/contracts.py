"""Requests held against the providers' own OpenAPI files."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from channels.sandbox.provider import Request

FILES = {
    "twilio": ("twilio_api_v2010.messages_calls.prism.json", "https://api.twilio.com"),
    "sendgrid": ("tsg_mail_v3.json", "https://api.sendgrid.com"),
}
#: What no file of ours describes.
UNCOVERED = {("sendgrid", "/v3/messages")}


class Contracts:
    """The contracts found in a folder. Needs openapi-core, which only this class imports.

    Raises `OSError` when a file is missing.
    """

    def __init__(self, folder: Path) -> None:
        from openapi_core import OpenAPI

        self._specs: dict[str, Any] = {
            provider: OpenAPI.from_dict(json.loads((folder / name).read_text(encoding="utf-8")))
            for provider, (name, _) in FILES.items()
        }

    def errors(self, provider: str, request: Request) -> list[str]:
        """What the provider's contract has against a request, in its own order; empty when it conforms."""
        if (provider, request.url.path) in UNCOVERED:
            return []
        found = self._specs[provider].iter_request_errors(_OpenAPIRequest(request, FILES[provider][1]))
        return [_line(error) for error in found]


class _OpenAPIRequest:
    """A request as openapi-core wants to see it: sent to the provider's own host."""

    def __init__(self, request: Request, host_url: str) -> None:
        from openapi_core.datatypes import RequestParameters
        from werkzeug.datastructures import Headers, ImmutableMultiDict

        self.host_url, self.path, self.body = host_url, request.url.path, request.body
        self.method = request.method.lower()
        self.content_type = request.headers.get("Content-Type", "").lower()
        query = ImmutableMultiDict(parse_qsl(request.url.query, keep_blank_values=True))
        self.parameters = RequestParameters(query=query, header=Headers(list(request.headers.items())))


def _line(error: BaseException) -> str:
    cause = error.__cause__
    details = [getattr(each, "message", str(each)) for each in getattr(cause, "schema_errors", ())]
    return ": ".join([str(error), *([str(cause)] if cause and not details else details)])
