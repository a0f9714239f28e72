"""Case + step + channel -> the words of one message.

The words live in `templates/` (its README says where, and which names they may use); nothing here says a word of its
own. A notice's email is written once, as text; its HTML is the same paragraphs, rendered a second time with escaping on
and put into the layout `email.html`.
"""

import hashlib
import re
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import NamedTuple

import css_inline
from babel import Locale
from markupsafe import Markup

from worker.dunning.answers import Answer, Said
from worker.dunning.call_menu import Action
from worker.dunning.model import Case, Invoice
from worker.dunning.strategy import Step
from worker.render.errors import WordingError, wording_errors
from worker.render.facts import Choice, Creditor, Letter, answered, facts_for, net
from worker.render.library import Blocks, Library, Place, Typeset, locale_of
from worker.render.local import Day, money_aloud, one_line
from worker.render.payment_code import PaymentCode
from worker.render.sms_text import gsm_text, sms_segments

#: What an SMS may cost.
MAX_SEGMENTS = 2

_SUBJECT = "Subject:"

#: Puts the layout's style sheet on the elements, in each message: its rules see the elements that are there. It takes a
#: tenth of the rendering; the sources, which are no HTML before Jinja has read them, could not be styled once for all.
_STYLES = css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of one message.

    `html` is "" unless it is an email; `subject` is "" unless it is an email or a task (its title). `words` are the
    first words a person would recognise: one line of at most 160 characters. `digest` (16 hex digits) tells one wording
    from another, the picture's content included. `segments` are what an SMS is charged as; 0 for everything else.
    `payment_code` is the picture that the HTML shows, if any.
    """

    subject: str
    text: str
    html: str
    words: str
    digest: str
    segments: int = 0
    payment_code: PaymentCode | None = None


class _Told(NamedTuple):
    """One language: where its words are, and the facts as it writes them."""

    place: Place
    facts: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallScene:
    """What a call is about, and what it can offer: `keys` by what they are pressed for, `days` as (key, day).

    `can_text`: can an SMS be sent? `answer` is what was just said, if anything.
    """

    case: Case
    creditor: Creditor
    lines: Sequence[Invoice]
    today: date
    keys: Mapping[Action, str]
    days: Sequence[tuple[str, date]] = ()
    can_text: bool = True
    answer: Answer | None = None


class Wordings:
    """All the words in a folder. Templates are compiled once, on first use; instances may be shared by threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._library = Library(folder)
        self.overrides, self.languages = self._library.overrides, self._library.languages

    def render(
        self,
        *,
        case: Case,
        step: Step,
        channel: str,
        lines: Sequence[Invoice],
        creditor: Creditor,
        today: date,
        deadline: date | None,
        firmer: bool,
        reference: str,
        earlier: Sequence[tuple[date, str]] = (),
        said: Collection[Said | Answer] = (),
        page_url: str = "",
        can_reply: bool = False,
        test: bool = False,
    ) -> Wording:
        """The words of that step on that channel, in the debtor's language; a task's, in the creditor's.

        `lines` are the invoices to list, at least one, oldest first, and credit notes. `deadline` is the date to ask
        payment by. `firmer`: a promise was broken. `reference` tells this message from others and ends every SMS.
        `earlier` are the contacts so far and their channels, `said` what the debtor answered in the call that a recap
        is of, `page_url` the debtor's own page or "". `can_reply`: an answer to an SMS arrives. A `test` begins with a
        sentence that says so, and has no payment code. Raises WordingError.
        """

        def told_in(name: str) -> _Told:
            locale = locale_of(name)
            facts = facts_for(
                case=case,
                lines=lines,
                creditor=creditor,
                locale=locale,
                today=today,
                deadline=deadline,
                firmer=firmer,
                reference=reference,
                earlier=earlier,
                said=said,
                page_url=page_url,
                can_reply=can_reply,
            )
            if test:  # a bank's app would fill in the transfer of an example, and a person need only nod
                facts["qr"] = None
            return _Told(
                self._library.place(creditor.id, locale, step.notice), {**facts, "notice": step.notice, "test": test}
            )

        with wording_errors(self.folder):
            told = told_in(case.debtor.locale)
            return self._task(told_in(creditor.locale), told) if channel == "task" else self._write(*told, channel)

    def answer_task(self, *, case: Case, creditor: Creditor, answer: Answer, today: date) -> tuple[str, str]:
        """The title and the text of what a person is to do about an answer, in the creditor's language.

        Raises WordingError.
        """
        with wording_errors(self.folder):
            locale = locale_of(creditor.locale)
            facts = facts_for(
                case=case,
                lines=case.unpaid() or case.invoices,
                creditor=creditor,
                locale=locale,
                today=today,
                deadline=None,
                firmer=False,
                reference="",
                said=[answer],
            )
            place = self._library.place(creditor.id, locale, "")
            names = {**facts, "notice": "", "test": False, "answer": answered(answer, locale), "source": answer.source}
            rendered = self._library.text(place, "answer.txt", {**names, "words": _quoted(answer.text)})
            title, _, text = rendered.partition("\n")
            return one_line(title), text.strip()

    def page(self, name: str, *, creditor: str, locale: str, facts: Callable[[Locale], Mapping[str, object]]) -> str:
        """A page of that name as HTML; `creditor` is "" where nobody knows whose it is. Raises WordingError.

        Besides the facts it may use `page`, the words of page.txt, and `say`, if the facts are those of a case.
        """
        with wording_errors(self.folder):
            parsed = locale_of(locale)
            place = self._library.place(creditor, parsed, "")
            own = {"language": parsed.language, **facts(parsed)}
            environment = self._library.environment(place, True)
            words = environment.get_template("page.txt").make_module(own)
            style = self._library.render(place, "page.css", {}, html=True)
            say = Blocks(lambda: environment.get_template("words.txt").make_module(own))
            names = {**own, "page": Typeset(words), "say": say, "style": Markup(style)}  # noqa: S704  # a file of ours
            return self._library.render(place, name, names, html=True)

    def call(self, parts: Sequence[str], scene: CallScene) -> str:
        """What a call says, sentence by sentence; each part is a macro of `call.txt`. Raises WordingError."""
        case, creditor = scene.case, scene.creditor
        with wording_errors(self.folder):
            locale = locale_of(case.debtor.locale)
            facts = facts_for(
                case=case,
                lines=scene.lines,
                creditor=creditor,
                locale=locale,
                today=scene.today,
                deadline=None,
                firmer=False,
                reference="",
            )
            place = self._library.place(creditor.id, locale, "")
            names = {
                **self._library.names(place, {**facts, "notice": "", "test": False}, html=False),
                "overdue": all(line.due_on < scene.today for line in scene.lines if line.kind == "invoice"),
                "owed": money_aloud(net(scene.lines), case.currency, locale),
                "key": scene.keys,
                "dates": [Choice(key, Day(day, locale)) for key, day in scene.days],
                "can_text": scene.can_text,
                "answer": answered(scene.answer, locale) if scene.answer else None,
            }
            said = self._library.template(self._library.environment(place, html=False), place, "call.txt").make_module(
                names
            )
            return " ".join(one_line(str(self._library.macro(said, place, part)())) for part in parts)

    def _write(self, place: Place, facts: Mapping[str, object], channel: str) -> Wording:
        if channel == "email":
            return self._email(place, facts)
        if channel == "sms":
            return self._sms(place, facts)
        return _wording(
            text=one_line(" ".join([*self._opening(place, facts), self._library.text(place, f"{channel}.txt", facts)]))
        )

    def _sms(self, place: Place, facts: Mapping[str, object]) -> Wording:
        """As much of it as there is room for: other words go first, then the links; the number to call never."""
        tighter: list[dict[str, object]] = [{}]
        if facts["page_url"]:
            tighter += [{"brief": 1}, {"brief": 2}, {"page_url": ""}]
        if facts["pay_url"]:
            tighter.append({"page_url": "", "pay_url": ""})
        text = ""
        for less in tighter:
            text = gsm_text(one_line(self._library.text(place, "sms.txt", {**facts, **less})))
            if sms_segments(text)[1] <= MAX_SEGMENTS:
                break
        text = gsm_text(" ".join([*self._opening(place, facts), text]))
        return replace(_wording(text=text), segments=sms_segments(text)[1])

    def _email(self, place: Place, facts: Mapping[str, object]) -> Wording:
        letter = self._letter(place, facts)
        html = self._html(place, letter.subject, facts)
        code = facts["qr"]
        shown = code if isinstance(code, PaymentCode) and code.src in html else None
        return _wording(subject=letter.subject, text=letter.text, html=html, code=shown)

    def _task(self, own: _Told, theirs: _Told) -> Wording:
        """What a colleague of the creditor does, in their language; what the debtor reads or hears, in the debtor's."""
        words = {"letter": self._letter(*theirs), "aloud": self._library.say(*theirs)}
        rendered = self._library.text(own.place, "task.txt", {**own.facts, **words})
        title, _, text = rendered.partition("\n")
        return _wording(subject=one_line(title), text=text.strip())

    def _letter(self, place: Place, facts: Mapping[str, object]) -> Letter:
        head, _, text = self._library.text(place, "email.txt", facts).partition("\n")
        if not head.startswith(_SUBJECT):
            raise WordingError(self._library.named(place, "email.txt"), 1, f"must begin with '{_SUBJECT} ...'")
        text = "\n\n".join([*self._opening(place, facts), text.strip()])
        return Letter(subject=one_line(head.removeprefix(_SUBJECT)), text=text)

    def _opening(self, place: Place, facts: Mapping[str, object]) -> list[str]:
        """What goes before the words of a test; nothing before all others."""
        return [self._library.text(place, "test.txt", facts)] if facts["test"] else []

    def _html(self, place: Place, subject: str, facts: Mapping[str, object]) -> str:
        names = self._library.names(place, facts, html=True)
        # The subject line is rendered again here, escaped, only to be dropped.
        _, _, body = self._library.render(place, "email.txt", names, html=True).partition("\n")
        paragraphs = [Markup(part) for part in re.split(r"\n{2,}", body.strip())]  # noqa: S704  # rendered with escaping on
        if facts["test"]:
            paragraphs.insert(0, Markup(self._library.render(place, "test.txt", names, html=True)))  # noqa: S704  # so is this
        page = self._library.render(
            place, "email.html", {**names, "subject": subject, "paragraphs": paragraphs}, html=True
        )
        try:
            return _STYLES.inline(page)
        except css_inline.InlineError as error:
            problem = f"a style in it, or in blocks.html, is not CSS: {error}"
            raise WordingError(self._library.named(place, "email.html"), None, problem) from None


def _quoted(text: str) -> list[str]:
    """What somebody wrote, line by line, without what a screen should not be sent."""
    return [one_line(line) for line in text.splitlines() if line.strip()]


def _wording(*, text: str, subject: str = "", html: str = "", code: PaymentCode | None = None) -> Wording:
    words = subject or text
    seen = f"{subject}\0{text}\0{html}\0{code.data if code else ''}"
    return Wording(
        subject=subject,
        text=text,
        html=html,
        words=textwrap.shorten(one_line(words), 160, placeholder="…"),
        digest=hashlib.sha256(seen.encode()).hexdigest()[:16],
        payment_code=code,
    )
