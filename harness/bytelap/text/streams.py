"""Token streams: documents one after another in one memory-mapped array, and the samplers that draw from it.

Data order follows from the seed alone: two entrants with one seed and the same (batch, length) read the same
text in the same order. A sampler's position is a number, so a resumed run goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from bytelap.errors import BytelapError


@dataclass(frozen=True)
class TokenStream:
    """The tokens of one split."""

    tokens: np.ndarray
    """(N,) unsigned integers, memory-mapped, documents one after another without separators."""
    offsets: np.ndarray
    """(D + 1,) int64: document d is tokens[offsets[d]:offsets[d + 1]]."""

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class TrainingData(TokenStream):
    """The training split as an entrant sees it: the raw stream, and samplers over it."""

    seed: int = 0
    positions: dict[str, int] = field(default_factory=dict)
    """How many batches each sampler has handed out; saved in checkpoints by the harness."""

    def windows(self, batch: int, length: int) -> Iterator[np.ndarray]:
        """Endless batches (batch, length) int64 of windows drawn without repetition within an epoch.

        An epoch cuts the stream at a random phase into windows of `length` tokens and visits each once, in
        random order. Windows may cross a document boundary. For next-token training ask for context + 1.
        """
        self._check(length)
        key, reach = f"windows-{batch}-{length}", np.arange(length, dtype=np.int64)
        # Neighbouring windows share one token, so that every token is a target once per epoch.
        stride = max(1, length - 1)
        per_epoch = (len(self) - length) // stride + 1
        epoch, phase, order = -1, 0, np.empty(0, dtype=np.uint32)
        while True:
            position = self.positions.get(key, 0)
            rows = np.arange(position * batch, (position + 1) * batch)
            chosen = np.empty(batch, dtype=np.int64)
            for wanted in range(int(rows[0]) // per_epoch, int(rows[-1]) // per_epoch + 1):
                if wanted != epoch:
                    epoch, (phase, order) = wanted, self._epoch(wanted, per_epoch, stride, length)
                inside = rows // per_epoch == epoch
                chosen[inside] = phase + order[rows[inside] % per_epoch].astype(np.int64) * stride
            self.positions[key] = position + 1
            yield self.tokens[chosen[:, None] + reach].astype(np.int64)  # (B, length)

    def _epoch(self, epoch: int, per_epoch: int, stride: int, length: int) -> tuple[int, np.ndarray]:
        """(where an epoch's first window starts, its windows' numbers in random order (per_epoch,))."""
        rng = np.random.default_rng([self.seed, epoch])
        slack = len(self) - length - (per_epoch - 1) * stride
        phase = int(rng.integers(min(slack, stride - 1) + 1))
        order = np.arange(per_epoch, dtype=np.min_scalar_type(per_epoch))  # as small as can be: it may be long
        rng.shuffle(order)
        return phase, order

    def lanes(self, batch: int, length: int) -> Iterator[np.ndarray]:
        """Endless chunks (batch, length + 1) int64 that continue one another: for models that carry state.

        Lane b starts at its own evenly spaced place (with a random common phase) and reads on for ever, around
        the end of the stream. Chunk k + 1 begins with the last token of chunk k, so column 0 was chunk k's last target.
        """
        self._check(2)
        key, size = f"lanes-{batch}-{length}", len(self)
        phase = int(np.random.default_rng(self.seed).integers(size))
        starts = (phase + np.arange(batch, dtype=np.int64) * size // batch)[:, None]  # (B, 1)
        reach = np.arange(length + 1, dtype=np.int64)
        while True:
            position = self.positions.get(key, 0)
            self.positions[key] = position + 1
            yield self.tokens[(starts + position * length + reach) % size].astype(np.int64)  # (B, length + 1)

    def _check(self, length: int) -> None:
        if len(self) < length:
            raise BytelapError(
                f"the training split has {len(self):,} tokens, less than one window of {length:,}: "
                "use a larger corpus or a shorter context"
            )
