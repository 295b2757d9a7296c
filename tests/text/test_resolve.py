"""What suites say about corpora and tokenizers, and the one sentence for each way to say it wrong."""

from __future__ import annotations

import pytest

from bytelap import BytelapError
from bytelap.plugins import Registry
from bytelap.text.resolve import resolve_corpus, resolve_tokenizer


@pytest.mark.parametrize(
    ("value", "name", "options"),
    [
        ("prose", "prose", {}),
        ("file:books/*.txt", "file", {"path": "books/*.txt"}),
        ("file:C:/books/a.txt", "file", {"path": "C:/books/a.txt"}),
        ({"name": "file", "path": "a", "separator": "\n"}, "file", {"path": "a", "separator": "\n"}),
        ({"name": "gutenberg:1342+219+84+11", "validation": 84, "test": "11+219"}, "gutenberg", {"validation": "84"}),
    ],
)
def test_names_arguments_and_mappings_are_understood(registry: Registry, value, name: str, options):
    spec, config = resolve_corpus(value, registry.corpora)
    assert spec.name == name
    assert {key: getattr(config, key) for key in options} == options


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("prse", "unknown corpus 'prse': did you mean prose"),
        ("prose:x", "prose takes no argument"),
        ("file", "needs to know its path: write file:<path>"),
        ("file:", "needs to know its path: write file:<path>"),
        ({"path": "a"}, "has no name"),
        (7, "has no name"),
        ("", "has no name"),
        ({"name": "file:a", "path": "b"}, "'path' is given twice"),
        ({"name": "file:a", "seperator": "b"}, "unknown option 'seperator', did you mean separator"),
        ({"name": "prose", "books": 3}, "unknown option 'books', its options: none"),
        ({"name": "file:a", "separator": ""}, "option 'separator'"),
        ({"name": "file:a", "test": "b"}, "give both `validation` and `test`, or neither"),
        ("gutenberg:austen", "'austen' does not fit, it is: numbers of the books, joined by +"),
        ("gutenberg:1342+219", "at least three different books"),
        ("gutenberg:1342+219+219", "at least three different books"),
        ({"name": "gutenberg:1+2+3", "validation": 1, "test": 1}, "must be different books of `ids`"),
        ({"name": "gutenberg:1+2+3", "validation": 1, "test": "2+3"}, "and not all of them"),
        ({"name": "enwik8", "mirror": "ftp://x"}, "'ftp://x' does not fit, it is: http"),
    ],
)
def test_wrong_corpora_get_one_sentence(registry: Registry, value, sentence: str):
    with pytest.raises(BytelapError) as error:
        resolve_corpus(value, registry.corpora)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("value", "size"), [("byte", None), ("bpe-257", 257), ("bpe-1000000", 1_000_000)])
def test_tokenizers_are_understood(registry: Registry, value: str, size: int | None):
    spec, found = resolve_tokenizer(value, registry.tokenizers)
    assert value.startswith(spec.name)
    assert found == size


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("bpe", "needs a vocabulary size: write bpe-1024"),
        ("bpe-256", "257 to 1,000,000 tokens"),
        ("bpe-1000001", "257 to 1,000,000 tokens"),
        ("bpe-1k", "'1k' is not a vocabulary size"),
        ("bpe--5", "unknown tokenizer 'bpe-': did you mean bpe"),
        ("bpe-", "'' is not a vocabulary size"),
        ("bpe-01024", "'01024' is not a vocabulary size"),
        ("byte-256", "byte has a fixed vocabulary"),
        ("bp-1024", "did you mean bpe"),
        ("bite", "did you mean byte"),
        (1024, "is not a name"),
    ],
)
def test_wrong_tokenizers_get_one_sentence(registry: Registry, value, sentence: str):
    with pytest.raises(BytelapError) as error:
        resolve_tokenizer(value, registry.tokenizers)
    assert sentence in str(error.value)
