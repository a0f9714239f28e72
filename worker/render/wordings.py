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
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import css_inline
from babel import Locale, UnknownLocaleError
from jinja2 import FileSystemLoader, StrictUndefined, Template, TemplateNotFound
from jinja2.environment import TemplateModule
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from worker.dunning.answers import Answer, Said
from worker.dunning.call_menu import Action
from worker.dunning.model import Case, Invoice
from worker.dunning.strategy import Step
from worker.render.errors import WordingError, wording_errors
from worker.render.facts import FACT_TYPES, Choice, Creditor, Letter, answered, facts_for, net
from worker.render.local import Day, money_aloud, one_line, spelled
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


class _Blocks:
    """The blocks, made when a template first asks for one: an SMS and a call never do."""

    def __init__(self, make: Callable[[], TemplateModule]) -> None:
        self._make = make

    @cached_property
    def _made(self) -> TemplateModule:
        return self._make()

    def __getattr__(self, name: str) -> object:
        return getattr(self._made, name)


_OURS = FACT_TYPES | {TemplateModule, _Blocks}


class _Environment(ImmutableSandboxedEnvironment):
    """A sandbox that does not ask again about values made here: half of a message's time went there."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if type(obj) in _OURS and not attribute.startswith("_"):
            try:
                return getattr(obj, attribute)
            except AttributeError:
                return self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)


class _Words:
    """The words of a page, with the blanks that French has before its signs."""

    def __init__(self, module: TemplateModule) -> None:
        self._module = module

    def __getattr__(self, name: str) -> object:
        return _typeset(getattr(self._module, name))


def _typeset(words: object) -> object:
    if isinstance(words, str):
        return _with_blanks(words)
    if isinstance(words, dict):
        return {name: _typeset(value) for name, value in words.items()}
    return (lambda *given: _typeset(words(*given))) if callable(words) else words


class _Place(NamedTuple):
    """Where words are looked up. `creditor` is "" for all those who override nothing, so that they share templates."""

    creditor: str
    languages: tuple[str, ...]
    notice: str


class _Told(NamedTuple):
    """One language: where its words are, and the facts as it writes them."""

    place: _Place
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
        self._environment = lru_cache(maxsize=1024)(self._new_environment)
        self._place = lru_cache(maxsize=4096)(self._find_place)

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
            locale = _locale(name)
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
            return _Told(self._place(creditor.id, locale, step.notice), {**facts, "notice": step.notice, "test": test})

        with wording_errors(self.folder):
            told = told_in(case.debtor.locale)
            return self._task(told_in(creditor.locale), told) if channel == "task" else self._write(*told, channel)

    def answer_task(self, *, case: Case, creditor: Creditor, answer: Answer, today: date) -> tuple[str, str]:
        """The title and the text of what a person is to do about an answer, in the creditor's language.

        Raises WordingError.
        """
        with wording_errors(self.folder):
            locale = _locale(creditor.locale)
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
            place = self._place(creditor.id, locale, "")
            names = {**facts, "notice": "", "test": False, "answer": answered(answer, locale), "source": answer.source}
            rendered = self._text(place, "answer.txt", {**names, "words": _quoted(answer.text)})
            title, _, text = rendered.partition("\n")
            return one_line(title), text.strip()

    def page(self, name: str, *, creditor: str, locale: str, facts: Callable[[Locale], Mapping[str, object]]) -> str:
        """A page of that name as HTML; `creditor` is "" where nobody knows whose it is. Raises WordingError.

        Besides the facts it may use `page`, the words of page.txt, and `say`, if the facts are those of a case.
        """
        with wording_errors(self.folder):
            parsed = _locale(locale)
            place = self._place(creditor, parsed, "")
            own = {"language": parsed.language, **facts(parsed)}
            environment = self._environment(place, True)
            words = environment.get_template("page.txt").make_module(own)
            style = self._render(place, "page.css", {}, html=True)
            say = _Blocks(lambda: environment.get_template("words.txt").make_module(own))
            names = {**own, "page": _Words(words), "say": say, "style": Markup(style)}  # noqa: S704  # a file of ours
            return self._render(place, name, names, html=True)

    def languages(self) -> list[str]:
        """Those that a page can be read in."""
        return sorted(path.parts[-3] for path in self.folder.glob("*/_common/page.txt"))

    def call(self, parts: Sequence[str], scene: CallScene) -> str:
        """What a call says, sentence by sentence; each part is a macro of `call.txt`. Raises WordingError."""
        case, creditor = scene.case, scene.creditor
        with wording_errors(self.folder):
            locale = _locale(case.debtor.locale)
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
            place = self._place(creditor.id, locale, "")
            names = {
                **self._names(place, {**facts, "notice": "", "test": False}, html=False),
                "overdue": all(line.due_on < scene.today for line in scene.lines),
                "owed": money_aloud(net(scene.lines), case.currency, locale),
                "key": scene.keys,
                "dates": [Choice(key, Day(day, locale)) for key, day in scene.days],
                "can_text": scene.can_text,
                "answer": answered(scene.answer, locale) if scene.answer else None,
            }
            said = self._template(self._environment(place, html=False), place, "call.txt").make_module(names)
            return " ".join(one_line(str(self._macro(said, place, part)())) for part in parts)

    def _macro(self, module: TemplateModule, place: _Place, name: str) -> Callable[[], str]:
        macro: Callable[[], str] | None = getattr(module, name, None)
        if macro is None:
            raise WordingError(self._named(place, "call.txt"), None, f"has no macro '{name}'")
        return macro

    def overrides(self, creditor: str) -> bool:
        """Has that creditor words of its own?"""
        return (self.folder / "creditors" / creditor).is_dir()

    def _write(self, place: _Place, facts: Mapping[str, object], channel: str) -> Wording:
        if channel == "email":
            return self._email(place, facts)
        if channel == "sms":
            return self._sms(place, facts)
        return _wording(
            text=one_line(" ".join([*self._opening(place, facts), self._text(place, f"{channel}.txt", facts)]))
        )

    def _sms(self, place: _Place, facts: Mapping[str, object]) -> Wording:
        """As much of it as there is room for: other words go first, then the links; the number to call never."""
        tighter: list[dict[str, object]] = [{}]
        if facts["page_url"]:
            tighter += [{"brief": 1}, {"brief": 2}, {"page_url": ""}]
        if facts["pay_url"]:
            tighter.append({"page_url": "", "pay_url": ""})
        text = ""
        for less in tighter:
            text = gsm_text(one_line(self._text(place, "sms.txt", {**facts, **less})))
            if sms_segments(text)[1] <= MAX_SEGMENTS:
                break
        text = gsm_text(" ".join([*self._opening(place, facts), text]))
        return replace(_wording(text=text), segments=sms_segments(text)[1])

    def _email(self, place: _Place, facts: Mapping[str, object]) -> Wording:
        letter = self._letter(place, facts)
        html = self._html(place, letter.subject, facts)
        code = facts["qr"]
        shown = code if isinstance(code, PaymentCode) and code.src in html else None
        return _wording(subject=letter.subject, text=letter.text, html=html, code=shown)

    def _task(self, own: _Told, theirs: _Told) -> Wording:
        """What a colleague of the creditor does, in their language; what the debtor reads or hears, in the debtor's."""
        words = {"letter": self._letter(*theirs), "aloud": self._say(*theirs)}
        rendered = self._text(own.place, "task.txt", {**own.facts, **words})
        title, _, text = rendered.partition("\n")
        return _wording(subject=one_line(title), text=text.strip())

    def _letter(self, place: _Place, facts: Mapping[str, object]) -> Letter:
        head, _, text = self._text(place, "email.txt", facts).partition("\n")
        if not head.startswith(_SUBJECT):
            raise WordingError(self._named(place, "email.txt"), 1, f"must begin with '{_SUBJECT} ...'")
        text = "\n\n".join([*self._opening(place, facts), text.strip()])
        return Letter(subject=one_line(head.removeprefix(_SUBJECT)), text=text)

    def _opening(self, place: _Place, facts: Mapping[str, object]) -> list[str]:
        """What goes before the words of a test; nothing before all others."""
        return [self._text(place, "test.txt", facts)] if facts["test"] else []

    def _html(self, place: _Place, subject: str, facts: Mapping[str, object]) -> str:
        names = self._names(place, facts, html=True)
        # The subject line is rendered again here, escaped, only to be dropped.
        _, _, body = self._render(place, "email.txt", names, html=True).partition("\n")
        paragraphs = [Markup(part) for part in re.split(r"\n{2,}", body.strip())]  # noqa: S704  # rendered with escaping on
        if facts["test"]:
            paragraphs.insert(0, Markup(self._render(place, "test.txt", names, html=True)))  # noqa: S704  # so is this
        page = self._render(place, "email.html", {**names, "subject": subject, "paragraphs": paragraphs}, html=True)
        try:
            return _STYLES.inline(page)
        except css_inline.InlineError as error:
            problem = f"a style in it, or in blocks.html, is not CSS: {error}"
            raise WordingError(self._named(place, "email.html"), None, problem) from None

    def _text(self, place: _Place, name: str, facts: Mapping[str, object]) -> str:
        return self._render(place, name, self._names(place, facts, html=False), html=False)

    def _names(self, place: _Place, facts: Mapping[str, object], *, html: bool) -> dict[str, object]:
        """The facts, and what the words and the blocks make of them."""
        environment = self._environment(place, html)
        say = self._say(place, facts, html=html)
        template = environment.get_template("blocks.html" if html else "blocks.txt")
        return {**facts, "say": say, "block": _Blocks(lambda: template.make_module({**facts, "say": say}))}

    def _render(self, place: _Place, name: str, names: Mapping[str, object], *, html: bool) -> str:
        written = self._template(self._environment(place, html), place, name).render(names)
        return _tidy(written, french=name.endswith(".txt"))

    def _say(self, place: _Place, facts: Mapping[str, object], *, html: bool = False) -> TemplateModule:
        return self._environment(place, html).get_template("words.txt").make_module(dict(facts))

    def _template(self, environment: _Environment, place: _Place, name: str) -> Template:
        try:
            return environment.get_template(name)
        except TemplateNotFound:
            raise WordingError(self._named(place, name), None, "missing template") from None

    def _named(self, place: _Place, name: str) -> str:
        """The file as a person would look for it: where it is, or where it should be."""
        found = (folder / name for folder in self._folders(place) if (folder / name).is_file())
        path = next(found, self.folder / place.languages[-1] / place.notice / name)
        return str(Path(self.folder.name) / path.relative_to(self.folder))

    def _find_place(self, creditor: str, locale: Locale, notice: str) -> _Place:
        own = creditor if self.overrides(creditor) else ""
        languages = (str(locale), locale.language) if locale.territory else (locale.language,)
        known = tuple(language for language in languages if self._speaks(own, language))
        if locale.language not in known:
            raise WordingError(f"{self.folder.name}/{locale.language}", None, "no words in this language")
        return _Place(own, known, notice)

    def _speaks(self, creditor: str, language: str) -> bool:
        return (self.folder / language).is_dir() or (self.folder / "creditors" / creditor / language).is_dir()

    def _folders(self, place: _Place) -> list[Path]:
        """Where to look, first to last: the notice before `_common`, a creditor's own before everybody's."""
        roots = [self.folder / "creditors" / place.creditor, self.folder] if place.creditor else [self.folder]
        names = [name for name in (place.notice, "_common") if name]
        spoken = [root / language / name for name in names for root in roots for language in place.languages]
        return [*spoken, *(root / "_common" for root in roots)]

    def _new_environment(self, place: _Place, html: bool) -> _Environment:
        environment = _Environment(
            loader=FileSystemLoader(self._folders(place)),
            undefined=StrictUndefined,
            autoescape=html,
            auto_reload=False,
            lstrip_blocks=True,
        )
        environment.filters |= {"sentence": _sentence, "spelled": spelled}
        return environment


def _sentence(words: str) -> str:
    """With a capital first letter; Jinja's `capitalize` would lower the rest."""
    return words[:1].upper() + words[1:]


def _tidy(text: str, *, french: bool) -> str:
    """Without the blanks that template statements leave behind; French, which alone has blanks there, gets its no-break
    spaces."""
    lines = [line.rstrip(" \t") for line in text.strip().split("\n")]
    text = re.sub(r"\n\n\n+", "\n\n", "\n".join(lines))
    if french:
        text = _with_blanks(text)
    return text


def _with_blanks(text: str) -> str:
    for sign in ":;?!»":
        text = text.replace(f" {sign}", f"\u00a0{sign}")
    return text.replace("« ", "«\u00a0")


def _quoted(text: str) -> list[str]:
    """What somebody wrote, line by line, without what a screen should not be sent."""
    return [one_line(line) for line in text.splitlines() if line.strip()]


def _locale(name: str) -> Locale:
    try:
        return Locale.parse(name.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        raise WordingError("templates", None, "not a locale Babel knows") from None


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
