"""The debtor's page and the one-click unsubscribe, over HTTP. A GET changes nothing; no cookie, no script, no session.

What protects a form: the token in the URL is the secret; a number signed for that token comes with the form; and a
browser that says it was sent by another site is refused.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.parser import BytesParser
from email.policy import HTTP
from typing import Literal
from urllib.parse import urlsplit

import structlog
from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from worker import inbound
from worker.app import App
from worker.dunning.answers import Answer
from worker.dunning.effects import Limits, NotAcceptable, limits
from worker.dunning.model import Case
from worker.links import BadToken, Grant, Links
from worker.logs import place_of
from worker.render import WordingError
from worker.store import away
from worker.web.gates import Refused, body_of
from worker.web.page.form import FIELD_OF, Mistakes, NotAForm, read, sort
from worker.web.page.pace import Buckets, Pace
from worker.web.page.screen import Screens
from worker.web.page.view import Asked, done, state_of
from worker.web.signatures import form_of

#: The longest body that a form of ours makes: a text of 2,000 letters of any script, and every invoice chosen.
LARGEST = 64 * 1024
#: For one link, and for one client's address: an office shares one.
_LINK, _CLIENT = Pace(30, 2.0), Pace(120, 0.5)
#: What makes a POST to `/u/` one click (RFC 8058), and what our button sends.
_ONE_CLICK = ("List-Unsubscribe", "One-Click")

_log = structlog.get_logger("relance.web")


@dataclass(frozen=True, slots=True)
class Sent:
    """A request, as much of it as matters here."""

    token: str
    language: str
    done: str = ""
    body: bytes = b""
    content_type: str = ""
    origin: str = ""
    site: str = ""


Door = Callable[[Links, Sent], Response]


class _Stop(Exception):
    """Nothing more is done: that note is shown instead, naming that case's creditor if there is one."""

    def __init__(self, status: int, note: str, case: Case | None = None, wait: float = 0) -> None:
        super().__init__(note)
        self.status, self.note, self.case, self.wait = status, note, case, wait


def router(app: App) -> APIRouter:
    """What a debtor's browser asks for."""
    doors = APIRouter()
    page = _Page(app)

    @doors.api_route("/r/{token}", methods=["GET", "HEAD"])
    async def show(token: str, request: Request) -> Response:
        """The page."""
        return await page.answer(token, request, page.show)

    @doors.post("/r/{token}")
    async def hear(token: str, request: Request) -> Response:
        """An answer given on it."""
        return await page.answer(token, request, page.hear)

    @doors.api_route("/u/{token}", methods=["GET", "HEAD"])
    async def offer(token: str, request: Request) -> Response:
        """One button."""
        return await page.answer(token, request, page.offer)

    @doors.post("/u/{token}")
    async def unsubscribe(token: str, request: Request) -> Response:
        """One click: pressed here, or by a mail program on behalf of whoever reads."""
        return await page.answer(token, request, page.unsubscribe)

    return doors


class _Page:
    """The four doors, each from a request to a response."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._screens = Screens(app)
        self._links, self._clients = Buckets(_LINK), Buckets(_CLIENT)
        self._own = _origin(app.environment.public_url)

    async def answer(self, token: str, request: Request, door: Door) -> Response:
        """The door's answer, or the note that stands for it. Without links there is no door."""
        links = self._app.links
        if links is None:
            return Response(status_code=404)
        language = self._screens.language(request.headers.get("accept-language", ""))
        try:
            body = await body_of(request, LARGEST) if request.method == "POST" else b""
        except Refused as refused:
            return self._screens.note(refused.status, "refused", language)
        except ClientDisconnect:
            return Response(status_code=400)
        sent = Sent(
            token=token,
            language=language,
            done=request.query_params.get("done", ""),
            body=body,
            content_type=request.headers.get("content-type", ""),
            origin=request.headers.get("origin", ""),
            site=request.headers.get("sec-fetch-site", ""),
        )
        client = request.client.host if request.client else ""
        return await run_in_threadpool(self._guarded, links, sent, door, client)

    def _guarded(self, links: Links, sent: Sent, door: Door, client: str) -> Response:
        try:
            self._keep_pace(sent.token, client)
            return door(links, sent)
        except _Stop as stop:
            return self._note(sent, stop)
        except Exception as error:  # a debtor is not shown an error of ours
            if away(error):
                _log.warning("store.away", error=type(error).__name__)
            else:
                _log.error("door.failed", door="page", place=place_of(error), error=type(error).__name__)
        return self._note(sent, _Stop(503, "away"))

    def _note(self, sent: Sent, stop: _Stop) -> Response:
        """Without words even for that, at least its status."""
        try:
            return self._screens.note(stop.status, stop.note, sent.language, stop.case, wait=stop.wait)
        except WordingError as error:
            _log.error("door.failed", door="page", place=str(error), error=type(error).__name__)
            return Response(status_code=stop.status)

    def _keep_pace(self, token: str, client: str) -> None:
        now = time.monotonic()
        wait = max(self._clients.wait(client, now), self._links.wait(token[:100], now))
        if wait > 0:
            _log.info("page.refused", why="limited")
            raise _Stop(429, "limited", wait=wait)

    # ---- /r/

    def show(self, links: Links, sent: Sent) -> Response:
        """The page, or the note that is left of it."""
        grant, case = self._found(links, "r", sent)
        self._still_open(case, grant)
        return self._screens.case(
            case,
            grant,
            self._limits(case),
            token=sent.token,
            number=links.number(sent.token),
            done=done(case, sent.done),
        )

    def hear(self, links: Links, sent: Sent) -> Response:
        """Store the answer and lead back to the page, so that nothing is sent again by loading it again."""
        self._refuse_other_sites(sent)
        grant, case = self._found(links, "r", sent)
        if state_of(case, grant) != "open":
            return _see_other(sent.token)
        pairs = form_of(sent.body)
        number = next((value for name, value in pairs if name == "number"), "")
        try:
            nonce = links.read_number(sent.token, number)
            choice, given, answer = read(pairs, case, grant, nonce)
        except (BadToken, NotAForm):
            _log.info("page.refused", why="form")
            raise _Stop(403, "refused") from None
        except Mistakes as mistakes:
            choice, given = sort(pairs)
            return self._ask_again(case, grant, sent, number, Asked(choice, given, mistakes.fields))
        try:
            if answer is not None:
                inbound.answer(self._app, case.id, answer)
        except NotAcceptable as error:
            return self._ask_again(case, grant, sent, number, Asked(choice, given, (FIELD_OF[error.problem],)))
        return _see_other(f"{sent.token}?done={choice}")

    def _ask_again(self, case: Case, grant: Grant, sent: Sent, number: str, asked: Asked) -> Response:
        return self._screens.case(case, grant, self._limits(case), token=sent.token, number=number, asked=asked)

    # ---- /u/

    def offer(self, links: Links, sent: Sent) -> Response:
        """One button: whoever follows a link has not pressed it yet."""
        _, case = self._found(links, "u", sent)
        return self._screens.note(200, "unsubscribe", sent.language, case)

    def unsubscribe(self, links: Links, sent: Sent) -> Response:
        """Take the mailbox off, whether the case goes on or not.

        One that the debtor has no more gets nothing as it is, and theirs of today is not meant.
        """
        self._refuse_other_sites(sent)
        grant, case = self._found(links, "u", sent)
        if not _one_click(sent):
            _log.info("page.refused", why="form")
            raise _Stop(400, "unsubscribe", case)
        if grant.fits(case.debtor):
            again = sum(said.kind == "opt_in" and grant.channel in said.channels for said in case.said)
            ref = f"unsubscribe-{grant.channel}-{grant.address}-{again}"
            answer = Answer(kind="opt_out", source="email", ref=ref, channels=(grant.channel,))
            inbound.answer(self._app, case.id, answer)
        return self._screens.note(200, "unsubscribed", sent.language, case)

    # ---- both

    def _found(self, links: Links, purpose: Literal["r", "u"], sent: Sent) -> tuple[Grant, Case]:
        """What the link stands for. An expired one still says whom to call; a forged one says nothing."""
        expired = False
        try:
            grant = links.read(purpose, sent.token, _real_today())
        except BadToken as error:
            if error.grant is None:
                raise _Stop(404, "unknown") from None
            grant, expired = error.grant, True
        stored = self._app.cases.load(grant.case_id) if "-" in grant.case_id else None
        if stored is None or stored.case.creditor not in self._app.config.creditors:
            raise _Stop(404, "unknown")
        if expired:
            raise _Stop(410, "expired", stored.case)
        return grant, stored.case

    def _still_open(self, case: Case, grant: Grant) -> None:
        state = state_of(case, grant)
        if state != "open":
            raise _Stop(200 if state in ("paid", "wrong") else 410, state, case)

    def _limits(self, case: Case) -> Limits:
        return limits(case, self._app.config.strategies[case.strategy].answers, self._app.clock.now())

    def _refuse_other_sites(self, sent: Sent) -> None:
        """A page that names no referrer posts from the origin "null"; then the browser's word on the site counts."""
        elsewhere = sent.site not in ("", "same-origin", "none")
        if elsewhere or sent.origin not in ("", "null", self._own):
            _log.info("page.refused", why="site")
            raise _Stop(403, "refused")


def _see_other(place: str) -> Response:
    return Response(status_code=303, headers={"Location": place, "Cache-Control": "no-store"})


def _one_click(sent: Sent) -> bool:
    if sent.content_type.lower().startswith("multipart/form-data"):
        head = f"Content-Type: {sent.content_type}\r\n\r\n".encode(errors="replace")
        parts = BytesParser(policy=HTTP).parsebytes(head + sent.body).walk()
        return any(
            (part.get_param("name", header="content-disposition"), part.get_payload()) == _ONE_CLICK for part in parts
        )
    return _ONE_CLICK in form_of(sent.body)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _real_today() -> date:
    """Links expire in real time, whatever a rehearsal's clock says."""
    return datetime.now(UTC).date()
