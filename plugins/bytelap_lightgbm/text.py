"""Which training text is counted, and which is held out of the counts for boosting."""

from __future__ import annotations

import numpy as np
from bytelap import TokenStream

HELD_OUT_SHARE = 0.05  # of the text, and at least so many tokens, but never more than the larger share
HELD_OUT_TOKENS = 50_000
HELD_OUT_MOST = 0.2


def excerpt(stream: TokenStream, limit: int) -> list[np.ndarray]:
    """About `limit` tokens: the beginning of every document, in proportion to its length."""
    documents = []
    for start, end in zip(stream.offsets[:-1].tolist(), stream.offsets[1:].tolist(), strict=True):
        length = end - start if limit >= len(stream) else (end - start) * limit // len(stream)
        documents.append(stream.tokens[start : start + length])
    return documents


def hold_out(documents: list[np.ndarray], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split off what is boosted on: short documents drawn at random, or the end of each document if those are too few.

    Returns:
        the tokens held out and the tokens left, each concatenated.
    """
    total = sum(map(len, documents))
    goal = int(min(max(HELD_OUT_SHARE * total, HELD_OUT_TOKENS), HELD_OUT_MOST * total))
    chosen: list[int] = []
    for index in np.random.default_rng(seed).permutation(len(documents)).tolist():
        if len(documents[index]) <= goal and sum(len(documents[i]) for i in chosen) < goal:
            chosen.append(index)
    if sum(len(documents[index]) for index in chosen) >= goal:
        cuts = [0 if index in chosen else len(document) for index, document in enumerate(documents)]
    else:
        cuts = [len(document) - len(document) * goal // total for document in documents]
    held = np.concatenate([document[cut:] for document, cut in zip(documents, cuts, strict=True)])
    left = np.concatenate([document[:cut] for document, cut in zip(documents, cuts, strict=True)])
    return held, left
