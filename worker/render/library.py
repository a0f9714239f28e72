"""The folder of words, as Jinja reads it: which file is whose, in which language, and what every template may call."""

import re
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

from babel import Locale, UnknownLocaleError
from jinja2 import BytecodeCache, FileSystemLoader, StrictUndefined, Template, TemplateNotFound
from jinja2.bccache import Bucket
from jinja2.environment import TemplateModule
from jinja2.sandbox import ImmutableSandboxedEnvironment

from worker.render.errors import WordingError
from worker.render.facts import FACT_TYPES
from worker.render.local import spelled


class Blocks:
    """The blocks, made when a template first asks for one: an SMS and a call never do."""

    def __init__(self, make: Callable[[], TemplateModule]) -> None:
        self._make = make

    @cached_property
    def _made(self) -> TemplateModule:
        return self._make()

    def __getattr__(self, name: str) -> object:
        return getattr(self._made, name)


_OURS = FACT_TYPES | {TemplateModule, Blocks}


class _Environment(ImmutableSandboxedEnvironment):
    """A sandbox that does not ask again about values made here: half of a message's time went there."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if type(obj) in _OURS and not attribute.startswith("_"):
            try:
                return getattr(obj, attribute)
            except AttributeError:
                return self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)


class _Compiled(BytecodeCache):
    """What each file was compiled to: each notice and language has an environment, and most files are shared."""

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._codes.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        if bucket.code is not None:
            self._codes[bucket.key, bucket.checksum] = bucket.code


class Place(NamedTuple):
    """Where words are looked up. `creditor` is "" for all those who override nothing, so that they share templates."""

    creditor: str
    languages: tuple[str, ...]
    notice: str


class Library:
    """All the words in a folder. Templates are compiled once, on first use; instances may be shared by threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._compiled = {html: _Compiled() for html in (False, True)}  # what is escaped is decided when compiling
        self.environment = lru_cache(maxsize=1024)(self._new_environment)
        self.place = lru_cache(maxsize=4096)(self._find_place)

    def languages(self) -> list[str]:
        """Those that a page can be read in."""
        return sorted(path.parts[-3] for path in self.folder.glob("*/_common/page.txt"))

    def overrides(self, creditor: str) -> bool:
        """Has that creditor words of its own?"""
        return (self.folder / "creditors" / creditor).is_dir()

    def macro(self, module: TemplateModule, place: Place, name: str) -> Callable[[], str]:
        macro: Callable[[], str] | None = getattr(module, name, None)
        if macro is None:
            raise WordingError(self.named(place, "call.txt"), None, f"has no macro '{name}'")
        return macro

    def text(self, place: Place, name: str, facts: Mapping[str, object]) -> str:
        return self.render(place, name, self.names(place, facts, html=False), html=False)

    def names(self, place: Place, facts: Mapping[str, object], *, html: bool) -> dict[str, object]:
        """The facts, and what the words and the blocks make of them."""
        environment = self.environment(place, html)
        say = self.say(place, facts, html=html)
        template = environment.get_template("blocks.html" if html else "blocks.txt")
        return {**facts, "say": say, "block": Blocks(lambda: template.make_module({**facts, "say": say}))}

    def render(self, place: Place, name: str, names: Mapping[str, object], *, html: bool) -> str:
        written = self.template(self.environment(place, html), place, name).render(names)
        return _tidy(written, french=name.endswith(".txt"))

    def say(self, place: Place, facts: Mapping[str, object], *, html: bool = False) -> TemplateModule:
        return self.environment(place, html).get_template("words.txt").make_module(dict(facts))

    def template(self, environment: _Environment, place: Place, name: str) -> Template:
        try:
            return environment.get_template(name)
        except TemplateNotFound:
            raise WordingError(self.named(place, name), None, "missing template") from None

    def named(self, place: Place, name: str) -> str:
        """The file as a person would look for it: where it is, or where it should be."""
        found = (folder / name for folder in self._folders(place) if (folder / name).is_file())
        path = next(found, self.folder / place.languages[-1] / place.notice / name)
        return str(Path(self.folder.name) / path.relative_to(self.folder))

    def _find_place(self, creditor: str, locale: Locale, notice: str) -> Place:
        own = creditor if self.overrides(creditor) else ""
        languages = (str(locale), locale.language) if locale.territory else (locale.language,)
        known = tuple(language for language in languages if self._speaks(own, language))
        if locale.language not in known:
            raise WordingError(f"{self.folder.name}/{locale.language}", None, "no words in this language")
        return Place(own, known, notice)

    def _speaks(self, creditor: str, language: str) -> bool:
        return (self.folder / language).is_dir() or (self.folder / "creditors" / creditor / language).is_dir()

    def _folders(self, place: Place) -> list[Path]:
        """Where to look, first to last: the notice before `_common`, a creditor's own before everybody's."""
        roots = [self.folder / "creditors" / place.creditor, self.folder] if place.creditor else [self.folder]
        names = [name for name in (place.notice, "_common") if name]
        spoken = [root / language / name for name in names for root in roots for language in place.languages]
        return [*spoken, *(root / "_common" for root in roots)]

    def _new_environment(self, place: Place, html: bool) -> _Environment:
        environment = _Environment(
            loader=FileSystemLoader(self._folders(place)),
            undefined=StrictUndefined,
            autoescape=html,
            auto_reload=False,
            bytecode_cache=self._compiled[html],
            lstrip_blocks=True,
        )
        environment.filters |= {"sentence": _sentence, "spelled": spelled}
        return environment


class Typeset:
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


def locale_of(name: str) -> Locale:
    try:
        return Locale.parse(name.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        raise WordingError("templates", None, "not a locale Babel knows") from None
