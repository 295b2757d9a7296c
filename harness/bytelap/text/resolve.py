"""From what a suite says (`gutenberg:1342+219`, `bpe-1024`) to a specification and its checked options."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from bytelap.errors import BytelapError
from bytelap.text.corpus import CorpusConfig, CorpusSpec
from bytelap.text.tokenizer import TokenizerSpec

if TYPE_CHECKING:
    from bytelap.plugins import Catalogue

SMALLEST_VOCABULARY = 257
LARGEST_VOCABULARY = 1_000_000


def resolve_corpus(value: str | Mapping[str, Any], catalogue: Catalogue[CorpusSpec]) -> tuple[CorpusSpec, CorpusConfig]:
    """The corpus that `name`, `name:argument` or `{name: …, option: …}` means; `spec.load(config)` fetches it.

    Raises:
        BytelapError: unknown name or option, a missing or superfluous argument, an option of the wrong type.
    """
    options = dict(value) if isinstance(value, Mapping) else {}
    written = options.pop("name", None) if isinstance(value, Mapping) else value
    if not isinstance(written, str) or not written:
        raise BytelapError(f"corpus {value!r} has no name: write a name like prose, or a mapping {{name: prose, …}}")
    name, colon, argument = written.partition(":")
    spec = catalogue[name]
    field = spec.argument_field
    if colon and field is None:
        raise BytelapError(f"corpus '{written}': {name} takes no argument, write it as {name}")
    if colon and field in options:
        raise BytelapError(f"corpus '{written}': '{field}' is given twice, after the colon and as an option")
    if colon and field is not None:
        options[field] = argument
    if field is not None and not options.get(field) and spec.config.model_fields[field].is_required():
        raise BytelapError(f"corpus '{name}' needs to know its {field}: write {name}:<{field}>")
    try:
        return spec, spec.config.model_validate(options)
    except ValidationError as error:
        raise BytelapError(f"corpus '{name}': {_explain(error, spec.config)}") from error


def resolve_tokenizer(value: str, catalogue: Catalogue[TokenizerSpec]) -> tuple[TokenizerSpec, int | None]:
    """The tokenizer that `byte` or `bpe-1024` means, and its vocabulary size.

    Raises:
        BytelapError: unknown name; a size that is missing, superfluous, not a number or out of range.
    """
    if not isinstance(value, str) or not value:
        raise BytelapError(f"tokenizer {value!r} is not a name: write byte or bpe-1024")
    if value in catalogue.specs:
        spec = catalogue[value]
        if spec.sized:
            raise BytelapError(f"tokenizer '{value}' needs a vocabulary size: write {value}-1024")
        return spec, None
    name, _, digits = value.rpartition("-")
    is_number = re.fullmatch("[1-9][0-9]*", digits) is not None
    spec = catalogue[name if is_number or name in catalogue.specs else value]
    if not spec.sized:
        raise BytelapError(f"tokenizer '{value}': {name} has a fixed vocabulary, write it as {name}")
    if not is_number:
        raise BytelapError(f"tokenizer '{value}': '{digits}' is not a vocabulary size, write for example {name}-1024")
    if not SMALLEST_VOCABULARY <= int(digits) <= LARGEST_VOCABULARY:
        raise BytelapError(
            f"tokenizer '{value}': a vocabulary has {SMALLEST_VOCABULARY} to {LARGEST_VOCABULARY:,} tokens "
            "(the 256 bytes and at least one merge)"
        )
    return spec, int(digits)


def _explain(error: ValidationError, config: type[CorpusConfig]) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(place, config.model_fields, n=1, cutoff=0.5)
        known = ", ".join(config.model_fields) or "none"
        return f"unknown option '{place}', " + (f"did you mean {near[0]}?" if near else f"its options: {known}")
    if first["type"] == "missing":
        return f"option '{place}' is missing"
    if first["type"] == "string_pattern_mismatch" and place in config.model_fields:
        return f"option '{place}': '{first['input']}' does not fit, it is: {config.model_fields[place].description}"
    reason = str(first["msg"]).removeprefix("Value error, ")
    return f"option '{place}': {reason}" if place else reason
