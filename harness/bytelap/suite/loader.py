"""Reads YAML with positions, so that every complaint can name file, line and column.

YAML 1.2 scalars: `1e-3` is a number and `no` is a word. Duplicate keys are errors. Nothing is ever constructed
but dictionaries, lists, strings, numbers, booleans and null.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bytelap.errors import BytelapError

Path_ = tuple[str | int, ...]
MAX_NODES = 100_000  # aliases of aliases can blow a small file up; no suite is anywhere near this


@dataclass
class Document:
    """A YAML file's value, and where each part of it stands."""

    file: str
    value: Any
    keys: dict[Path_, tuple[int, int]] = field(default_factory=dict)
    """Line and column (from 1) of the key that a path ends with."""
    values: dict[Path_, tuple[int, int]] = field(default_factory=dict)

    def where(self, path: Path_, *, key: bool = False) -> str:
        """`file:line:column` of a path, or of its nearest ancestor that exists."""
        places = [self.keys, self.values] if key else [self.values, self.keys]
        for length in range(len(path), -1, -1):
            for place in places:
                if path[:length] in place:
                    line, column = place[path[:length]]
                    return f"{self.file}:{line}:{column}"
        return self.file


class _Loader(yaml.SafeLoader):
    """The safe loader with the scalars of YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own field)


for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^(?:[-+]?[0-9][0-9_]*|0o[0-7]+|0x[0-9a-fA-F]+)$", list("-+0123456789")),
    (
        "float",
        r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def load(path: Path) -> Document:
    """Read a YAML file. Raises BytelapError with `file:line:column` for anything that is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BytelapError(f"{path}: no such suite file; `bench list suites` shows those in suites/") from None
    except IsADirectoryError:
        raise BytelapError(f"{path} is a directory: name one suite file in it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BytelapError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    return loads(text, str(path))


def loads(text: str, file: str) -> Document:
    """Read YAML text; `file` is what messages call it."""
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
        raise BytelapError(f"{place}: not valid YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise BytelapError(f"{file}: not valid YAML: {' '.join(str(error).split())}") from None
    document = Document(file, None)
    if node is not None:
        try:
            document.value = _construct(node, (), document, [0])
        except RecursionError:
            raise BytelapError(f"{file}: nested too deeply, or an alias that contains itself") from None
    return document


def _construct(node: yaml.Node, path: Path_, document: Document, count: list[int]) -> Any:
    place = (node.start_mark.line + 1, node.start_mark.column + 1)
    document.values[path] = place
    count[0] += 1
    if count[0] > MAX_NODES:
        raise BytelapError(
            f"{document.file}:{place[0]}:{place[1]}: more than {MAX_NODES:,} values; too large for a suite"
        )
    if node.tag.rpartition(":")[2] not in ("map", "seq", "str", "null", "bool", "int", "float"):
        raise BytelapError(f"{document.where(path)}: the tag {node.tag} is not allowed in a suite")
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, document, count)
    if isinstance(node, yaml.SequenceNode):
        return [_construct(child, (*path, index), document, count) for index, child in enumerate(node.value)]
    assert isinstance(node, yaml.ScalarNode)
    return _scalar(node, document.where(path))


def _mapping(node: yaml.MappingNode, path: Path_, document: Document, count: list[int]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line, column = key_node.start_mark.line + 1, key_node.start_mark.column + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise BytelapError(f"{document.file}:{line}:{column}: a key must be a plain word")
        key = str(key_node.value)
        if key in result:
            first = document.keys[(*path, key)][0]
            raise BytelapError(
                f"{document.file}:{line}:{column}: key '{key}' is given twice (first on line {first}): delete one"
            )
        document.keys[(*path, key)] = (line, column)
        result[key] = _construct(value_node, (*path, key), document, count)
    return result


def _scalar(node: yaml.ScalarNode, where: str) -> Any:
    kind, text = node.tag.rpartition(":")[2], node.value
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    try:
        if kind == "int":
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        if kind == "float":  # `.inf` and `.nan` are YAML's spelling
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        raise BytelapError(f"{where}: '{text[:40]}' is not a number that can be read") from None
    return str(text)
