"""Tokenizers built in: `byte` and `bpe-<vocabulary size>`, lossless on any bytes; packages load late."""

from __future__ import annotations

from bytelap.hookspecs import hookimpl
from bytelap.text.corpus import Corpus
from bytelap.text.tokenizer import Tokenizer, TokenizerSpec


@hookimpl
def bytelap_tokenizers() -> list[TokenizerSpec]:
    """The built-in tokenizers."""
    return [
        TokenizerSpec("byte", sized=False, load=_byte, summary="every byte is a token; V = 256"),
        TokenizerSpec(
            "bpe",
            sized=True,
            load=_bpe,
            summary="byte-pair encoding trained on the training split: bpe-1024, bpe-4096, …",
        ),
    ]


def _byte(corpus: Corpus, size: int | None) -> Tokenizer:
    from bytelap.text.tokenizers.byte import ByteTokenizer

    return ByteTokenizer()


def _bpe(corpus: Corpus, size: int | None) -> Tokenizer:
    from bytelap.text.tokenizers.bpe import load_bpe

    if size is None:
        raise ValueError("bpe needs a vocabulary size")
    return load_bpe(corpus, size)
