"""Responses for people: the case's page and the notes, with the headers that keep them to themselves."""

import math
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256

from babel import Locale
from fastapi import Response

from worker.app import App
from worker.dunning.effects import Limits
from worker.dunning.model import Case
from worker.dunning.view import local_today
from worker.links import Grant
from worker.render import PaymentCode, Wordings, picture
from worker.render.facts import Contact, Creditor, facts_for
from worker.render.local import dialled, one_line
from worker.web.page.view import Asked, facts_of, owed

_HTML = "text/html; charset=utf-8"
#: What a page may do besides showing its own style: its code as a picture, and its forms to where it came from.
_POLICY = (
    "default-src 'none'; style-src 'sha256-{}'; img-src data:; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'"
)
_NOTHING = Asked()


class Screens:
    """Makes them, from the app's templates."""

    def __init__(self, app: App) -> None:
        self._app = app

    @property
    def _wordings(self) -> Wordings:
        return self._app.wordings

    def language(self, accepted: str) -> str:
        """The first language of an Accept-Language header that a page can be read in; English where there is none."""
        known = self._wordings.languages()
        asked = (part.partition(";")[0].strip()[:2].lower() for part in accepted[:200].split(","))
        return next((language for language in asked if language in known), "en")

    def note(self, status: int, note: str, language: str, case: Case | None = None, *, wait: float = 0) -> Response:
        """A page that says one thing: of a case nothing but whom to call, in the debtor's language."""
        creditor = self._app.config.creditors[case.creditor] if case else None

        def facts(_: Locale) -> Mapping[str, object]:
            return {"creditor": creditor and _stranger(creditor, case), "note": note}

        html = self._wordings.page(
            "page_note.html",
            creditor=case.creditor if case else "",
            locale=case.debtor.locale if case else language,
            facts=facts,
        )
        return self._response(html, status, {"Retry-After": str(math.ceil(wait))} if wait else {})

    def case(
        self,
        case: Case,
        grant: Grant,
        limits: Limits,
        *,
        token: str,
        number: str,
        done: str = "",
        asked: Asked = _NOTHING,
    ) -> Response:
        """The debtor's page: 200, or 422 where fields are wrong."""
        creditor = self._app.config.creditors[case.creditor]

        def facts(locale: Locale) -> Mapping[str, object]:
            own = facts_for(
                case=case,
                lines=owed(case),
                creditor=creditor,
                locale=locale,
                today=local_today(case, self._app.clock.now()),
                deadline=None,
                firmer=False,
                reference="page",
            )
            page = facts_of(case, grant, limits, asked, locale)
            return {**own, **page, "picture": _inside(own["qr"]), "token": token, "number": number, "done": done}

        html = self._wordings.page("page_case.html", creditor=case.creditor, locale=case.debtor.locale, facts=facts)
        return self._response(html, 422 if asked.problems else 200)

    def _response(self, html: str, status: int, more: Mapping[str, str] | None = None) -> Response:
        style = html.partition("<style>")[2].partition("</style>")[0]
        digest = b64encode(sha256(style.encode()).digest()).decode()
        headers = {
            "Cache-Control": "no-store",
            "Content-Security-Policy": _POLICY.format(digest),
            "Cross-Origin-Opener-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "Vary": "Accept-Language",
            "X-Content-Type-Options": "nosniff",
            "X-Robots-Tag": "noindex, nofollow",
        }
        return Response(html, status, {**headers, **(more or {})}, _HTML)


def _inside(code: object) -> str:
    """The payment code as a picture that travels inside the page."""
    if not isinstance(code, PaymentCode):
        return ""
    drawn = picture(code)
    return f"data:{drawn.content_type};base64,{b64encode(drawn.content).decode()}"


def _stranger(creditor: Creditor, case: Case | None) -> Mapping[str, object]:
    """What anybody may read: who, and which number to call; a desk's name may tell of a debt."""
    contact: Contact = creditor.contact
    phone = dialled(contact.phone, case.debtor.country if case else creditor.country)
    return {
        "name": one_line(creditor.name),
        "contact": {"phone": phone, "e164": contact.phone, "hours": one_line(contact.hours)},
    }
