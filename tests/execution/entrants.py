"""A plugin for tests: one small honest entrant, `counter`, and switches that make it lie."""

SOURCE = '''
import json, os, time
from pathlib import Path
import torch
from bytelap import Model, ModelConfig, ModelSpec, Size, TrainStep, hookimpl


class CounterConfig(ModelConfig):
    """An order-1 count model that can be told to misbehave."""
    pace: float = 0.005
    """Seconds of work per step."""
    lie: str = ""
    """What to do wrong."""


class Counter(Model):
    def __init__(self, config, vocabulary, seed, device):
        self.config, self.v = config, vocabulary.size
        self.counts = torch.ones(self.v, self.v, dtype=torch.float64)
        if config.lie == "build":
            raise RuntimeError("cannot be built")

    def prepare(self, data):
        if self.config.lie == "prepare":
            self.counts += 1
        if self.config.lie == "slow prepare":
            time.sleep(60)

    def train(self, data, clock):
        batches = data.windows(4, 65)
        if self.config.lie == "memory":
            self.hog = bytearray(3 * 10**8)
            for i in range(0, len(self.hog), 4096):
                self.hog[i] = 1
        while not clock.expired:
            end = time.perf_counter() + self.config.pace
            batch = torch.from_numpy(next(batches))
            pairs = (batch[:, :-1].flatten(), batch[:, 1:].flatten())
            self.counts.index_put_(pairs, torch.ones(4 * 64, dtype=torch.float64), accumulate=True)
            while time.perf_counter() < end:
                pass
            if self.config.lie == "crash" and clock.progress > 0.5:
                raise ZeroDivisionError("a bug in the entrant")
            if self.config.lie == "exit" and clock.progress > 0.5:
                import os
                os._exit(7)
            if self.config.lie == "odd message":
                raise RuntimeError("\\ud800")
            if self.config.lie == "sets the clock":
                clock.steps = -100
            tokens = -5 if self.config.lie == "negative tokens" else 4 * 64
            yield 5 if self.config.lie == "wrong step" else TrainStep(tokens=tokens)
        if self.config.lie == "overtime":
            time.sleep(0.7)
        while self.config.lie == "never stops":
            time.sleep(0.05)
            yield TrainStep(tokens=1)

    def predict(self, tokens):
        logp = (self.counts / self.counts.sum(1, keepdim=True)).log()[tokens].float()
        if self.config.lie == "unnormalised":
            logp = logp * 0.9
        if self.config.lie == "nan":
            logp = logp * float("nan")
        if self.config.lie == "slow predict":
            time.sleep(60)
        if self.config.lie == "patient predict" and "ACME_HURRY" not in os.environ:
            time.sleep(0.7)
        return logp

    def size(self):
        return Size(parameters=self.v * self.v, state=1)

    def save(self, directory: Path):
        (directory / "counts.json").write_text(json.dumps(self.counts.tolist()))

    def load(self, directory: Path):
        self.counts = torch.tensor(json.loads((directory / "counts.json").read_text()), dtype=torch.float64)


@hookimpl
def bytelap_models():
    about = {"summary": "order-1 counts", "paper": "a test"}
    return [ModelSpec(name="counter", config=CounterConfig, load=lambda: Counter, **about)]
'''
