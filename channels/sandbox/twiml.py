"""What a call says: words out of TwiML, and TwiML fetched as Twilio fetches it."""

import base64
import hmac
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urldefrag
from xml.etree import ElementTree

import urllib3

from channels.sandbox.journal import Exchange

#: Twilio's own limits in seconds for a webhook, the read one shortened so that a sandbox ends promptly.
TIMEOUT = urllib3.Timeout(connect=5, read=5)


def words(twiml: str | bytes) -> str:
    """The words of every <Say>, in order, one space between. Raises `ElementTree.ParseError` for what is no XML."""
    root = ElementTree.fromstring(twiml)  # noqa: S314 - a sandbox on loopback, fed by its own tests and demo
    return " ".join(" ".join("".join(say.itertext()).split()) for say in root.iter("Say"))


def sign(token: str, url: str, fields: Mapping[str, str]) -> str:
    """X-Twilio-Signature of a form posted to a URL: base64 of HMAC-SHA1 over the URL and the sorted fields."""
    signed = url + "".join(f"{name}{value}" for name, value in sorted(fields.items()))
    return base64.b64encode(hmac.digest(token.encode(), signed.encode(), "sha1")).decode()


class TwimlFetcher:
    """Asks a call's URL what to say, in the background, and writes the answer down as a "twiml" event."""

    def __init__(self) -> None:
        self._http = urllib3.PoolManager(timeout=TIMEOUT, retries=False)
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="twiml")

    def fetch(self, exchange: Exchange, url: str, token: str, fields: Mapping[str, str]) -> None:
        """POST the fields as a form to the URL, signed with the account's token; returns at once."""
        self._threads.submit(self._fetch, exchange, urldefrag(url).url, token, fields)

    def close(self) -> None:
        """Forget what has not begun, wait for what has, and close the connections."""
        self._threads.shutdown(cancel_futures=True)
        self._http.clear()

    def _fetch(self, exchange: Exchange, url: str, token: str, fields: Mapping[str, str]) -> None:
        call = {"id": fields["CallSid"], "url": url}
        try:
            answer = self._http.request_encode_body(
                "POST",
                url,
                fields=fields,
                encode_multipart=False,
                headers={"X-Twilio-Signature": sign(token, url, fields)},
            )
            exchange.write("twiml", **call, status=answer.status, **_outcome(answer.status, answer.data))
        except (urllib3.exceptions.HTTPError, ElementTree.ParseError) as error:
            exchange.write("twiml", **call, error=f"{type(error).__name__}: {error}")


def _outcome(status: int, body: bytes) -> dict[str, str]:
    return {"text": words(body)} if status == 200 else {"error": f"HTTP {status}"}
