"""Corpora built in; each module reads one source, and whatever it needs to fetch it loads late."""

from __future__ import annotations

from bytelap.hookspecs import hookimpl
from bytelap.text.corpora import archives, files, gutenberg, prose, shakespeare, wiki
from bytelap.text.corpus import CorpusConfig, CorpusSpec


@hookimpl
def bytelap_corpora() -> list[CorpusSpec]:
    """The built-in corpora."""
    return [
        CorpusSpec(
            "prose",
            CorpusConfig,
            prose.load_prose,
            summary="eight books of English fiction, 5.4 MB; validation and test are a book each by unseen authors",
            licence=prose.LICENCE,
        ),
        CorpusSpec(
            "shakespeare",
            CorpusConfig,
            shakespeare.load_shakespeare,
            summary="38 plays as plain text, 5.0 MB; validation and test are two plays each",
            licence=shakespeare.LICENCE,
        ),
        CorpusSpec(
            "wiki",
            CorpusConfig,
            wiki.load_wiki,
            summary="106 Wikipedia articles as wikitext, 5.7 MB, split by article; downloads 28 MB",
            licence=wiki.LICENCE,
        ),
        CorpusSpec(
            "gutenberg",
            gutenberg.GutenbergConfig,
            gutenberg.load_gutenberg,
            summary="books of Project Gutenberg by number: gutenberg:1342+219+84; the last is the test",
            licence=gutenberg.LICENCE,
            argument_field="ids",
        ),
        CorpusSpec(
            "file",
            files.FileConfig,
            files.load_files,
            summary="your own text: file:path or file:books/*.txt, a document per file or per separator",
            licence=files.LICENCE,
            argument_field="path",
        ),
        *(archive.spec for archive in archives.ARCHIVES),
    ]
