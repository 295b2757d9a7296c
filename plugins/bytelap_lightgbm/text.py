"""Which training text is counted, and which is held out of the counts for boosting."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bytelap import TokenStream

FOLD_SHARE = 0.05  # of the text, at least,
FOLD_TOKENS = 50_000  # and at least so many tokens,
FOLD_MOST = 0.25  # but never more than this share: what is left should resemble the whole


def excerpt(stream: TokenStream, limit: int) -> list[np.ndarray]:
    """About `limit` tokens: the beginning of every document, in proportion to its length."""
    documents = []
    for start, end in zip(stream.offsets[:-1].tolist(), stream.offsets[1:].tolist(), strict=True):
        length = end - start if limit >= len(stream) else -(-(end - start) * limit // len(stream))
        documents.append(stream.tokens[start : start + length])
    return documents


def folds(documents: list[np.ndarray], seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Ways to split the text into a part that is held out and the rest, which is counted.

    Each fold holds out other whole documents, the short ones first, in random order. If there are too few documents
    for that, there is one fold: the end of each document.

    Yields:
        the tokens held out and the tokens left, each concatenated.
    """
    total = sum(map(len, documents))
    goal = int(min(max(FOLD_SHARE * total, FOLD_TOKENS), FOLD_MOST * total))
    shuffled = np.random.default_rng(seed).permutation(len(documents)).tolist()
    group: list[int] = []
    found = False
    for index in sorted(shuffled, key=lambda index: max(goal, len(documents[index]))):
        group.append(index)
        size = sum(len(documents[member]) for member in group)
        if size > FOLD_MOST * total:
            break
        if size >= goal:
            yield _split(
                documents, [0 if index in group else len(document) for index, document in enumerate(documents)]
            )
            group, found = [], True
    if not found:
        yield _split(documents, [len(document) - len(document) * goal // total for document in documents])


def _split(documents: list[np.ndarray], cuts: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Hold out what comes after the cut in each document."""
    held = np.concatenate([document[cut:] for document, cut in zip(documents, cuts, strict=True)])
    left = np.concatenate([document[:cut] for document, cut in zip(documents, cuts, strict=True)])
    return held, left
