"""From a folder of files to a Config: every file is read and checked, then held against the others."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from worker.config import channels, documents, senders, strategy
from worker.config.channels import ChannelsFile
from worker.config.creditor import Creditor
from worker.config.documents import Document
from worker.config.model import Config, ConfigError
from worker.config.strategy import StrategyFile
from worker.problems import Problem, field_names, from_pydantic

Read = TypeVar("Read", bound=BaseModel)


def load(folder: Path, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration in that folder; with `environ`, credentials that are only half set are problems too.

    Raises ConfigError with every problem of every file, each as
    `config/strategies/b2b.yaml: ladder.3.channel: 'emial' is not a channel; did you mean 'email'? (line 31)`.
    """
    if not folder.is_dir():
        raise ConfigError([f"{folder}: there is no such folder"])
    reader = _Reader(folder)
    return reader.config(environ)


class _Reader:
    """One reading of the folder; `problems` grows on the way."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: list[str] = []
        self.channels = self._document(folder / "channels.yaml")
        self.strategies = [self._document(path) for path in self._files("strategies")]
        self.creditors = [self._document(path) for path in self._files("creditors")]
        self.names = {
            "channels": _keys(self.channels.data, "channels"),
            "providers": _keys(self.channels.data, "providers"),
            "strategies": [document.path.stem for document in self.strategies],
        }

    def config(self, environ: Mapping[str, str] | None) -> Config:
        """Everything, or ConfigError."""
        rules = self._model(self.channels, ChannelsFile)
        if rules:
            self._report(self.channels, channels.faults(rules, environ))
        ladders = self._named(self.strategies, StrategyFile, "name")
        creditors = self._named(self.creditors, Creditor, "id")
        for document, file in ladders.values():
            self._report(document, strategy.faults(file))
        files = {name: file for name, (_, file) in ladders.items()}
        owners: dict[str, str] = {}
        for document, creditor in creditors.values():
            self._report(document, _creditor_faults(creditor, files, rules))
            self._report(document, _shared_keys(creditor, owners))
        if self.problems or not rules:
            raise ConfigError(self.problems)
        return self._frozen(rules, files, {name: creditor for name, (_, creditor) in creditors.items()})

    def _frozen(self, rules: ChannelsFile, files: Mapping[str, StrategyFile], creditors: dict[str, Creditor]) -> Config:
        digest = self._digest()
        return Config(
            creditors=MappingProxyType(creditors),
            strategies=MappingProxyType({name: file.value(digest) for name, file in files.items()}),
            channels=MappingProxyType({name: file.value(name) for name, file in rules.channels.items()}),
            providers=MappingProxyType({name: file.value(name) for name, file in rules.providers.items()}),
            digest=digest,
            folder=self.folder,
        )

    def _files(self, kind: str) -> list[Path]:
        found = sorted((self.folder / kind).glob("*.yaml"))
        if not found:
            self.problems.append(f"{self.folder / kind}: there is no .yaml file")
        for other in sorted((self.folder / kind).glob("*.yml")):
            self.problems.append(f"{other}: not read; its name must end in .yaml")
        return found

    def _document(self, path: Path) -> Document:
        document, problems = documents.read(path)
        self.problems += problems
        return document

    def _model(self, document: Document, model: type[Read]) -> Read | None:
        if document.data is None:
            return None
        try:
            return model.model_validate(document.data, context=self.names)
        except ValidationError as error:
            self._report(document, from_pydantic(error, field_names(model), show=True))
            return None

    def _named(self, files: list[Document], model: type[Read], field: str) -> dict[str, tuple[Document, Read]]:
        """The files by name; the name inside must be that of the file."""
        found: dict[str, tuple[Document, Read]] = {}
        for document in files:
            value = self._model(document, model)
            if value is None:
                continue
            name, stem = getattr(value, field), document.path.stem
            if name != stem:
                self._report(document, [Problem((field,), f"{name!r} is not the name of the file, {stem!r}")])
            found[stem] = (document, value)
        return found

    def _report(self, document: Document, problems: Iterable[Problem]) -> None:
        self.problems += [document.problem(problem.place, problem.says) for problem in problems]

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for document in (self.channels, *self.strategies, *self.creditors):
            name = document.path.relative_to(self.folder).as_posix()
            digest.update(f"{name}\n{len(document.raw)}\n".encode() + document.raw)
        return digest.hexdigest()[:12]


def _keys(data: Any, name: str) -> list[str]:
    """The names under that key, however broken the rest of the file is."""
    found = data.get(name) if isinstance(data, dict) else None
    return [str(key) for key in found] if isinstance(found, dict) else []


def _creditor_faults(
    creditor: Creditor, ladders: Mapping[str, StrategyFile], rules: ChannelsFile | None
) -> Iterator[Problem]:
    """What a creditor asks of strategies and providers that they do not give."""
    for kind, name in creditor.strategies.items():
        file = ladders.get(name)
        if file and kind not in file.debtors:
            yield Problem(("strategies", kind), f"{name!r} is not for that kind (it is for: {', '.join(file.debtors)})")
    yield from _senderless(creditor, {name: ladders[name] for name in creditor.strategies.values() if name in ladders})
    yield from senders.faults(creditor)
    for channel, providers in creditor.providers.items():
        for index, provider in enumerate(providers):
            if rules and (says := channels.mismatch(channel, rules.providers[provider].kind)):
                yield Problem(("providers", channel, index), f"{provider!r} {says}")


def _shared_keys(creditor: Creditor, owners: dict[str, str]) -> Iterator[Problem]:
    """A key opens the door of one creditor. `owners` grows on the way."""
    for index, key in enumerate(creditor.api_keys):
        owner = owners.setdefault(key, creditor.id)
        if owner != creditor.id:
            yield Problem(("api_keys", index), f"the same key as {owner!r} has")


def _senderless(creditor: Creditor, ladders: Mapping[str, StrategyFile]) -> Iterator[Problem]:
    for channel in ("sms", "voice"):
        users = [name for name, file in ladders.items() if channel in file.reaches]
        if users and getattr(creditor, channel) is None:
            yield Problem((channel,), f"required: {', '.join(users)} may send by {channel}")
