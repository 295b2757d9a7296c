"""`lightgbm`: gradient-boosted trees predict the next token by reweighing the candidates of an n-gram model.

The seed (high-order-layers, language_interpolation_gbm.py) grew one tree per symbol and round on raw character codes,
12,800 trees for 100 rounds, and put a second softmax over the probabilities. Here, too, boosting minimises the
multinomial log-loss, but the classes of a position are its likeliest symbols under a Kneser-Ney model, and one tree
scores all of them: a row is a (position, candidate) pair, and its features say what speaks for that candidate
(McFadden's conditional logit, 1974, with trees in place of a linear index):

    p(y | context) = base(y | context) exp(trees(y, context)) / Z        one softmax; trees = 0 for all other symbols

Boosting starts from the margin log base, so a model without trees is the n-gram model, and every round refines it.

Leakage. Counts that contain a row's own target make long contexts look infallible, and trees learn to trust them
blindly. So trees are grown on documents that were held out of the counts (on the end of each document if there are
too few of them). Whole documents, because a new document is what the model will be asked about: counts of the
same book know its names. Afterwards predictions use counts of all the text, a few per cent more than the trees saw.

Ke et al. 2017, LightGBM: a highly efficient gradient boosting decision tree.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import lightgbm
import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from torch import Tensor

from bytelap import BytelapError, Clock, Model, Size, TrainingData, TrainStep, Vocabulary
from bytelap_lightgbm.boosting import Rows, Softmax, seconds_per_position
from bytelap_lightgbm.config import LightGBMConfig
from bytelap_lightgbm.features import candidates
from bytelap_lightgbm.ngram import KneserNey, highest_order
from bytelap_lightgbm.text import excerpt, folds

COUNTING_SHARE = 0.6  # of the time left may go into counting: all text once, all but the held-out part once more
PILOT_TOKENS = 200_000  # counted first, to learn the speed: about 50 ms
BATCH_POSITIONS = 4096  # described at a time; the first batch is boosted on for a moment, for the same reason
BOOSTING_SHARE = 1.2  # of the time left is planned for: rounds on few rows are slower per row than those to come
ROUND_MARGIN = 1.5  # a round starts only if so many times the longest of the latest still fits


class LightGBM(Model):
    """Boosted trees on n-gram statistics. S symbols occur in the counted text; the vocabulary has V."""

    def __init__(self, config: LightGBMConfig, vocabulary: Vocabulary, seed: int, device: str) -> None:
        self.config, self.vocabulary, self.seed, self.device = config, vocabulary, seed, device
        self.symbols = np.empty(0, dtype=np.int64)  # (S,) ascending: the tokens that occur in the counted text
        self.table: KneserNey | None = None
        self.counted = 0  # tokens of text
        self.held_out = 0  # positions that the latest trees were grown on
        self.trees: list[lightgbm.Booster] = []  # one per call of `train`; their scores add up

    # --- training --------------------------------------------------------------------------------------------

    def train(self, data: TrainingData, clock: Clock) -> Iterator[TrainStep]:
        """Count all text, count it without the held-out part, describe the held-out part, boost until the bell."""
        limit = self.counted or self._affordable_tokens(data, clock)
        documents = excerpt(data, limit)
        if self.table is None:
            text = np.concatenate(documents)
            self.symbols = np.unique(text).astype(np.int64)
            self.table, self.counted = self._count(self._indices(text)), limit
            yield TrainStep(tokens=len(text))
        if clock.expired:
            return
        rows = Rows()
        yield from self._collect([self._indices(document) for document in documents], rows, clock)
        if rows.positions and not clock.expired:
            yield from self._boost(rows, clock)

    def _affordable_tokens(self, data: TrainingData, clock: Clock) -> int:
        """How much text can be counted twice in the share of the budget that counting may take."""
        if len(data) < 64:
            raise BytelapError(f"the training split has {len(data)} tokens and lightgbm needs 64: use a larger corpus")
        limit = min(len(data), self.config.text)
        if clock.budget.tokens is not None:
            return max(1, min(limit, clock.budget.tokens - clock.tokens))
        if clock.budget.seconds is None:  # a budget in steps or tokens is repeatable: nothing may depend on speed
            return limit
        begun = clock.elapsed
        pilot = data.tokens[: min(limit, PILOT_TOKENS)]
        KneserNey.count(pilot, self.vocabulary.size, min(self.config.order, highest_order(self.vocabulary.size)))
        per_token = 2 * (clock.elapsed - begun) / len(pilot)
        return max(64, min(limit, int(COUNTING_SHARE * clock.remaining / per_token)))

    def _count(self, text: np.ndarray) -> KneserNey:
        order = min(self.config.order, highest_order(len(self.symbols)))
        return KneserNey.count(text, len(self.symbols), order)

    def _collect(self, documents: list[np.ndarray], rows: Rows, clock: Clock) -> Iterator[TrainStep]:
        """Fill `rows` with as many held-out positions as the budget can boost on, in windows drawn at random."""
        timed, wanted, binning = clock.budget.seconds is not None, self.config.positions, 0.0
        for held, left in folds(documents, self.seed):
            if clock.expired:
                return
            begun = clock.elapsed
            table = self._count(left)
            counting = clock.elapsed - begun
            yield TrainStep(tokens=len(left))
            length = min(self.config.window, len(held) - 1)
            starts = np.random.default_rng(self.seed).permutation((len(held) - 1) // length) * length
            for some in np.array_split(starts, max(1, len(starts) * length // BATCH_POSITIONS)):
                begun = clock.elapsed
                self._add_rows(table, held[some[:, None] + np.arange(length + 1)], rows)
                if timed and binning == 0.0:
                    describing = (clock.elapsed - begun) / rows.positions
                    binning, boosting = seconds_per_position(rows, self._parameters(), clock)
                    planned = describing + binning + self.config.rounds * boosting
                    wanted = min(wanted, int(BOOSTING_SHARE * clock.remaining / planned))
                yield TrainStep(tokens=0)
                if rows.positions >= wanted or (timed and clock.remaining < 3 * binning * rows.positions):
                    return
            if timed and clock.remaining < 10 * counting:
                return

    def _add_rows(self, table: KneserNey, tokens: np.ndarray, rows: Rows) -> None:
        targets, done = tokens[:, 1:].reshape(-1), 0
        for part in candidates(table, tokens[:, :-1], self.config):
            size = len(part.base)
            rows.add(part, targets[done : done + size], self._scores(part.features))
            done += size

    def _boost(self, rows: Rows, clock: Clock) -> Iterator[TrainStep]:
        """Rounds until the bell, with a learning rate that falls linearly to a fifth."""
        objective, parameters = Softmax(rows), self._parameters()
        booster = lightgbm.Booster(parameters, rows.dataset(self.config.bins))
        self.held_out = rows.positions
        longest, begun, timed = 0.0, clock.progress, clock.budget.seconds is not None
        for done in range(self.config.most_rounds - self._rounds()):
            if clock.expired or (timed and clock.remaining < ROUND_MARGIN * longest):
                return
            start = clock.elapsed
            passed = max((clock.progress - begun) / (1 - begun), self._rounds() / self.config.most_rounds)
            booster.reset_parameter({**parameters, "learning_rate": self.config.learning_rate * (1 - 0.8 * passed)})
            booster.update(fobj=objective)
            if done == 0:
                self.trees.append(booster)
            longest = max(0.9 * longest, clock.elapsed - start)
            yield TrainStep(tokens=rows.positions)

    def _parameters(self) -> dict[str, int | float | str | bool]:
        return {
            "objective": "none",  # `Softmax` is given to every round
            "num_leaves": self.config.leaves,
            "learning_rate": self.config.learning_rate,
            "max_bin": self.config.bins,
            "min_data_in_leaf": 100,
            "min_sum_hessian_in_leaf": 1.0,
            "lambda_l2": 1.0,
            "feature_fraction": self.config.feature_share,
            "num_threads": torch.get_num_threads(),
            "seed": self.seed,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }

    # --- prediction ------------------------------------------------------------------------------------------

    @torch.no_grad()
    def predict(self, tokens: Tensor) -> Tensor:
        """(B, T) int64 -> (B, T, V) float32: the n-gram's distribution, candidates reweighed, mixed with uniform."""
        V, share = self.vocabulary.size, self.config.uniform
        out = np.full((tokens.numel(), V), share / V if self.table else 1.0 / V, dtype=np.float32)
        if self.table is not None:
            done = 0
            for part in candidates(self.table, self._indices(tokens.cpu().numpy()), self.config):
                chances = part.base  # (n, S)
                chances[part.position, part.symbol] *= np.exp(self._scores(part.features))
                chances *= (1.0 - share) / chances.sum(axis=1, keepdims=True)
                out[done : done + len(chances), self.symbols] += chances
                done += len(chances)
        return torch.from_numpy(np.log(out)).view(*tokens.shape, V).to(tokens.device)

    def _indices(self, tokens: np.ndarray) -> np.ndarray:
        """Tokens of the vocabulary as 0..S - 1; S stands for all that the counted text lacks."""
        index = np.full(self.vocabulary.size, len(self.symbols), dtype=np.int64)
        index[self.symbols] = np.arange(len(self.symbols))
        indices: np.ndarray = index[tokens]
        return indices

    def _scores(self, features: np.ndarray) -> np.ndarray:
        """(R, F) -> (R,) float32: what all trees say."""
        total = np.zeros(len(features))
        for booster in self.trees:
            total += booster.predict(features, raw_score=True, num_threads=torch.get_num_threads())
        return total.astype(np.float32)

    def _rounds(self) -> int:
        return sum(booster.num_trees() for booster in self.trees)

    # --- books -----------------------------------------------------------------------------------------------

    def size(self) -> Size:
        """Leaf values, split thresholds, n-gram probabilities and backoff weights; the window of tokens it looks at."""
        leaves = sum(
            int(line.removeprefix("num_leaves="))
            for booster in self.trees
            for line in booster.model_to_string().splitlines()
            if line.startswith("num_leaves=")
        )
        grown = 2 * leaves - self._rounds()  # a tree with L leaves has L - 1 thresholds
        return Size(parameters=grown + (self.table.parameters if self.table else 0), state=self.config.window)

    def notes(self) -> Mapping[str, str | int | float]:
        """How much the clock allowed."""
        return {"counted_tokens": self.counted, "boosted_positions": self.held_out, "rounds": self._rounds()}

    def save(self, directory: Path) -> None:
        """The longest n-grams with their counts (all shorter ones follow from them), the trees as text, the sizes."""
        if self.table is not None:
            arrays = {"symbols": self.symbols, "ngrams": self.table.ngrams, "counts": self.table.counts}
            save_file(arrays, directory / "ngrams.safetensors")
        for number, booster in enumerate(self.trees):
            (directory / f"trees-{number}.txt").write_text(booster.model_to_string())
        state = {"trees": len(self.trees), "counted": self.counted, "held_out": self.held_out}
        (directory / "state.json").write_text(json.dumps({**state, "order": self.table.order if self.table else None}))

    def load(self, directory: Path) -> None:
        """Read what `save` wrote; `train` then grows further trees on the same held-out text."""
        state = json.loads((directory / "state.json").read_text())
        self.counted, self.held_out = state["counted"], state["held_out"]
        if state["order"] is not None:
            arrays = load_file(directory / "ngrams.safetensors")
            self.symbols = arrays["symbols"]
            self.table = KneserNey(arrays["ngrams"], arrays["counts"], len(self.symbols), state["order"])
        names = [directory / f"trees-{number}.txt" for number in range(state["trees"])]
        self.trees = [lightgbm.Booster(model_str=name.read_text()) for name in names]
