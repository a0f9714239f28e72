"""YAML as operators mean it: no repeated keys, no surprises, and every value knows its line.

YAML 1.1 reads `country: NO` as false, `12:30` as 750, `+33948000000` as an integer and `0.1` as a binary fraction. Here
only null, true, false and plain integers are anything but text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """One file: its content, and the line on which each value begins (1 is the first)."""

    path: Path
    data: Any
    raw: bytes = b""
    lines: dict[Place, int] = field(default_factory=dict)

    def line(self, place: Place) -> int | None:
        """The line of that value, or of the nearest one around it."""
        for end in range(len(place), 0, -1):
            if place[:end] in self.lines:
                return self.lines[place[:end]]
        return None

    def problem(self, place: Place, says: str) -> str:
        """A fault of this file as one line for the operator: file, path, what is wrong, line."""
        if place and isinstance(place[-1], int) and place not in self.lines:
            place = place[:-1]  # one thing written where a list may stand
        line = self.line(place)
        where = f"{self.path}: {'.'.join(map(str, place))}: " if place else f"{self.path}: "
        return where + says + (f" (line {line})" if line else "")


class _Loader(yaml.SafeLoader):
    """Plain scalars are text unless they look exactly like one of a few things; no tag makes them anything else."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  (PyYAML's own attribute)
    yaml_constructors = {  # noqa: RUF012
        tag: constructor
        for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.rpartition(":")[2] in ("null", "bool", "int", "str", "seq", "map")
    }


_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(null|~|)$"), ["n", "~", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(true|false)$"), ["t", "f"])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(0|[1-9][0-9]*)$"), list("-0123456789"))


def read(path: Path) -> tuple[Document, list[str]]:
    """The file, and what is wrong with it as YAML. A file that cannot be read at all has no data."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        return Document(path, None), [f"{path}: cannot be read: {error.strerror}"]
    try:
        return _parse(path, raw)
    except (yaml.YAMLError, ValueError, LookupError, RecursionError) as error:
        return Document(path, None, raw), [f"{path}: not YAML: {_first_line(error)}"]


def _parse(path: Path, raw: bytes) -> tuple[Document, list[str]]:
    loader = _Loader(raw)
    try:
        node = loader.get_single_node()
        if node is None:
            return Document(path, None, raw), [f"{path}: the file is empty"]
        first_wins = reversed(list(_walk(node)))
        document = Document(path, None, raw, {place: at.start_mark.line + 1 for place, at in first_wins})
        problems = [
            document.problem(place, f"{key.value!r} is there twice; again on line {key.start_mark.line + 1}")
            for place, key in _repeated(node)
        ]
        data = None if problems else loader.construct_document(node)
        return Document(path, data, raw, document.lines), problems
    finally:
        loader.dispose()


def _walk(node: yaml.Node, place: Place = (), seen: frozenset[int] = frozenset()) -> Iterator[tuple[Place, yaml.Node]]:
    """Every value with its place; a mapping's value is where its key is."""
    if id(node) in seen:
        raise ValueError("an alias inside of what it stands for")
    for key, at, child in _children(node):
        yield (*place, key), at
        yield from _walk(child, (*place, key), seen | {id(node)})


def _children(node: yaml.Node) -> Iterator[tuple[str | int, yaml.Node, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            yield str(key.value), key, child
    elif isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            yield index, child, child


def _repeated(node: yaml.Node, place: Place = ()) -> Iterator[tuple[Place, yaml.Node]]:
    """The keys that a mapping has more than once, second and later occurrences."""
    known: set[str | int] = set()
    for key, at, child in _children(node):
        if isinstance(key, str) and key in known:
            yield (*place, key), at
        known.add(key)
        yield from _repeated(child, (*place, key))


def _first_line(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"{error.problem} (line {error.problem_mark.line + 1})"
    return str(error).partition("\n")[0] or type(error).__name__
