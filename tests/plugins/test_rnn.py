"""`rnn`: its equations, gradients and training against independent computations."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional

from bytelap import Budget, Clock, TrainingData, Vocabulary
from bytelap_rnn.config import RNNConfig
from bytelap_rnn.rnn import RNN, GridNetwork

if TYPE_CHECKING:
    from pathlib import Path

BYTES = Vocabulary("byte", tuple(bytes([value]) for value in range(256)))
TINY = Vocabulary("tiny", (b"a", b"b", b"c", b"d", b"e"))
SWITCHES = ("input_gate", "forget_gate", "state_gate", "output_gate", "new_state", "old_state", "residual")
GATED = [
    dict(zip(SWITCHES, values, strict=True))
    for values in itertools.product([False, True], repeat=len(SWITCHES))
    if values[4] or values[5]
]
OTHERS = [
    {"dynamics": dynamics, **gates, "output_gate": gate, "new_state": new, "old_state": not new, "residual": new}
    for dynamics, gates in [
        ("plain", {}),
        ("doubly_gated", {"input_gate": False}),
        ("doubly_gated", {"input_gate": True}),
    ]
    for gate, new in itertools.product([False, True], repeat=2)
] + [
    {"output": "state", "output_gate": False},
    {"output": "state", "output_gate": True, "old_state": True, "residual": False},
    {"output": "state", "output_gate": True, "dynamics": "doubly_gated", "residual": True},
]


def switches(config: RNNConfig) -> str:
    parts = [config.dynamics, config.output, *(name for name in SWITCHES if getattr(config, name))]
    return " ".join(parts)


def literal_layer(layer: nn.Module, config: RNNConfig, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """The equations of seeds A1 for one position, x (D,), h (S,), one matrix after another."""

    def product(name: str, *operands: Tensor) -> Tensor:
        linear = layer.get_submodule(name)
        return linear.weight @ torch.cat(operands) + linear.bias

    gated_x, gated_h = x, h
    if config.input_gate:
        gated_x = torch.sigmoid(product("gate_input", x, h)) * x
        gated_h = torch.sigmoid(product("gate_state", x, h)) * h
    n = torch.tanh(product("candidate", gated_x, gated_h))
    if config.dynamics == "doubly_gated":
        f = torch.sigmoid(product("forget_gate", gated_x, gated_h, n))
        z = torch.sigmoid(product("state_gate", gated_x, gated_h, n))
        n = f * h + z * n
    if config.dynamics == "gated" and config.state_gate:
        z = torch.sigmoid(product("state_gate", gated_x, gated_h, n))
        n = z * n + (1 - z) * h
    if config.dynamics == "gated" and config.forget_gate:
        n = torch.sigmoid(product("forget_gate", gated_x, gated_h, n)) * n
    seen = [part for part, on in ((n, config.new_state), (gated_h, config.old_state), (x, config.residual)) if on]
    if config.output == "state":
        return (n * torch.sigmoid(product("output_gate", *seen)) if config.output_gate else n), n
    o = product("output", *seen)
    return o * torch.sigmoid(product("output_gate", o, *seen) if config.output_gate else o), n


def literal_losses(network: GridNetwork, tokens: Tensor, states: Tensor, bptt: int) -> tuple[Tensor, Tensor]:
    """Mean loss of (B, T + 1) tokens and the states (L, B, S) afterwards; states are detached every `bptt` steps."""
    config, total, ends = network.config, torch.zeros((), dtype=torch.float64), []
    for row, start in zip(tokens, states.unbind(1), strict=True):
        memory = list(start)
        for t, (token, target) in enumerate(itertools.pairwise(row.tolist())):
            if t % bptt == 0:
                memory = [state.detach() for state in memory]
            x = network.embed.weight[:, token] + network.embed.bias
            for index, layer in enumerate(network.layers):
                x, memory[index] = literal_layer(layer, config, x, memory[index])
            logits = network.head.weight @ x + network.head.bias
            total = total + torch.logsumexp(logits, 0) - logits[target]
        ends.append(torch.stack([state.detach() for state in memory]))
    return total / (tokens.shape[0] * (tokens.shape[1] - 1)), torch.stack(ends, dim=1)


def compare_with_literal(config: RNNConfig, steps: int, bptt: int) -> None:
    torch.manual_seed(5)
    network = GridNetwork(config, TINY.size).double()
    tokens = torch.randint(TINY.size, (2, steps + 1))
    states = 0.5 * torch.randn(config.layers, 2, config.state, dtype=torch.float64)
    expected, expected_states = literal_losses(network, tokens, states, bptt)
    wanted = torch.autograd.grad(expected, list(network.parameters()), allow_unused=True)
    logits, after = network(tokens[:, :-1], states, bptt, torch.float64)
    loss = functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(after, expected_states, rtol=1e-10, atol=1e-12)
    gradients = torch.autograd.grad(loss, list(network.parameters()), allow_unused=True)
    for (name, parameter), *pair in zip(network.named_parameters(), gradients, wanted, strict=True):
        got, want = (torch.zeros_like(parameter) if gradient is None else gradient for gradient in pair)
        torch.testing.assert_close(got, want, rtol=1e-8, atol=1e-12, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("layers", [1, 2])
def test_every_combination_of_the_grid_equals_the_equations_and_the_detached_loop(layers: int) -> None:
    for given in GATED:
        compare_with_literal(RNNConfig(layers=layers, state=3, width=2, **given), steps=4, bptt=1)


@pytest.mark.parametrize("given", OTHERS, ids=lambda given: switches(RNNConfig(**given)))
def test_other_dynamics_and_outputs_equal_the_equations(given: dict) -> None:
    compare_with_literal(RNNConfig(layers=2, state=3, width=4, **given), steps=4, bptt=1)


@pytest.mark.parametrize("bptt", [2, 3, 7, 9])
def test_bptt_equals_a_graph_unrolled_over_segments(bptt: int) -> None:
    for given in [*GATED[::7], *OTHERS]:
        compare_with_literal(RNNConfig(layers=2, state=3, width=2, **given), steps=7, bptt=bptt)


@pytest.mark.parametrize(
    ("given", "parameters"),
    [
        ({"layers": 2, "state": 256, "input_gate": False, "output_gate": False}, 1_444_352),
        ({"layers": 2, "state": 512}, 9_182_976),
        ({"layers": 2, "state": 512, "output_gate": False}, 7_609_088),
        ({"layers": 1, "state": 512, "residual": False}, 4_198_656),
        ({"layers": 3, "state": 512, "old_state": True}, 15_215_872),
    ],
)
def test_parameter_counts_are_the_published_ones(given: dict, parameters: int) -> None:
    model = RNN(RNNConfig(**given), BYTES, 1, "cpu")
    assert model.size().parameters == parameters
    assert model.size().state == given["layers"] * given["state"]


def test_reduced_precision_changes_the_gradient_only_by_rounding() -> None:
    torch.manual_seed(2)
    network = GridNetwork(RNNConfig(layers=2, state=64), BYTES.size)
    tokens, states = torch.randint(256, (8, 17)), torch.randn(2, 8, 64) / 2
    flat = []
    for precision in (torch.float32, torch.bfloat16):
        logits, _ = network(tokens[:, :-1], states, 1, precision)
        loss = functional.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten())
        flat.append(torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(network.parameters()))]))
    assert functional.cosine_similarity(flat[0], flat[1], dim=0) > 0.999


@pytest.fixture(scope="module")
def text(english: bytes) -> np.ndarray:
    return np.frombuffer(english, dtype=np.uint8)


def training_data(text: np.ndarray) -> TrainingData:
    return TrainingData(text, np.array([0, len(text)]), seed=3)


def train(model: RNN, data: TrainingData, steps: int, spent: int = 0, total: int | None = None) -> list[float]:
    """Up to `steps` of a budget of `total` steps, of which `spent` are over; the losses in nats."""
    clock, losses = Clock(Budget(steps=total or steps), steps=spent), []
    clock.start()
    for step in model.train(data, clock):
        clock.count(step.tokens)
        assert step.loss is not None
        losses.append(step.loss)
        if len(losses) == steps:
            break
    return losses


def small(**given: object) -> RNN:
    settings = {"state": 24, "batch": 4, "chunk": 8, "precision": "fp32", **given}
    return RNN(RNNConfig(**settings), BYTES, 7, "cpu")


def test_without_bptt_and_new_state_the_recurrent_weights_stay_as_drawn_and_the_notes_say_so(text: np.ndarray) -> None:
    config = RNNConfig(state=8, new_state=False, old_state=True, batch=4, chunk=8, precision="fp32")
    network = GridNetwork(config, 256)  # here all weights may learn, but no gradient comes
    logits, _ = network(torch.from_numpy(text[:80].astype(np.int64)).view(4, 20), torch.ones(1, 4, 8), 1, torch.float32)
    logits.logsumexp(-1).sum().backward()
    recurrent = {"candidate", "state_gate", "forget_gate", "gate_input"}
    for name, parameter in network.named_parameters():
        silent = parameter.grad is None or not parameter.grad.any()
        assert silent == bool(recurrent & set(name.split("."))), name

    model = RNN(config, BYTES, 7, "cpu")
    before = {name: parameter.clone() for name, parameter in model.module.named_parameters()}
    train(model, training_data(text), 3)
    for name, parameter in model.module.named_parameters():
        assert torch.equal(before[name], parameter) == bool(recurrent & set(name.split("."))), name
    frozen = sum(before[name].numel() for name in before if recurrent & set(name.split(".")))
    assert f"{frozen:,} recurrent weights get no gradient" in str(model.notes()["reservoir"])


@pytest.mark.parametrize("given", [{}, {"bptt": 4, "new_state": False, "old_state": True}, {"dynamics": "plain"}])
def test_otherwise_every_parameter_learns_and_the_notes_speak_of_no_reservoir(given: dict, text: np.ndarray) -> None:
    model = small(layers=2, **given)
    before = {name: parameter.clone() for name, parameter in model.module.named_parameters()}
    train(model, training_data(text), 3)
    assert [name for name, parameter in model.module.named_parameters() if torch.equal(before[name], parameter)] == []
    assert "reservoir" not in model.notes()


def test_predict_equals_reading_token_by_token(text: np.ndarray) -> None:
    model = small(layers=2)
    tokens = torch.from_numpy(text[:210].astype(np.int64)).view(3, 70)
    got, states = model.predict(tokens), torch.zeros(2, 3, 24)
    for t in range(tokens.shape[1]):
        logits, states = model.module(tokens[:, t : t + 1], states, 1, torch.float32)
        torch.testing.assert_close(got[:, t], logits[:, 0].log_softmax(-1), rtol=1e-4, atol=1e-5)


def test_predictions_depend_on_the_past_of_their_own_row_only(text: np.ndarray) -> None:
    model = small()
    train(model, training_data(text), 5)
    tokens = torch.from_numpy(text[:300].astype(np.int64)).view(3, 100)
    whole = model.predict(tokens)
    changed = tokens.clone()
    changed[:, 60:] = 7
    torch.testing.assert_close(model.predict(changed)[:, :60], whole[:, :60])
    torch.testing.assert_close(model.predict(tokens[1:2]), whole[1:2], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.predict(tokens.flip(0)).flip(0), whole, rtol=1e-4, atol=1e-5)
    changed = tokens.clone()
    changed[:, 50] = 7
    assert not torch.allclose(model.predict(changed)[:, 52], whole[:, 52])  # the past does matter


def test_the_state_goes_on_from_chunk_to_chunk_of_contiguous_lanes(text: np.ndarray) -> None:
    model = small(layers=2)
    batches = model.batches(training_data(text))
    first, second = (torch.from_numpy(next(batches)) for _ in range(2))
    apart = [model.loss(first), model.loss(second)]
    model.carried = {}
    assert torch.equal(first[:, -1], second[:, 0])
    joined = model.loss(torch.cat([first, second[:, 1:]], dim=1))
    torch.testing.assert_close((apart[0] + apart[1]) / 2, joined)
    model.carried = {}
    assert not torch.allclose(model.loss(second), apart[1], rtol=1e-7)  # from zeros it is another loss


def test_the_layout_of_the_seed_starts_every_window_from_zeros(text: np.ndarray) -> None:
    model, starts, rows = small(reset=20), [], []
    batches = model.batches(training_data(text))
    for _ in range(7):
        batch = next(batches)
        starts.append("states" in model.carried)
        rows.append(batch.shape[1] - 1)
        model.loss(torch.from_numpy(batch))
    assert rows == [8, 8, 4, 8, 8, 4, 8]
    assert starts == [False, True, True, False, True, True, False]


@pytest.mark.parametrize("given", [{}, {"bptt": 4}, {"reset": 20}], ids=["lanes", "bptt", "windows"])
def test_a_resumed_run_equals_one_that_never_stopped(given: dict, text: np.ndarray, tmp_path: Path) -> None:
    whole, part, resumed = small(**given), small(**given), small(**given)
    expected = train(whole, training_data(text), 8)
    data = training_data(text)
    assert train(part, data, 4, total=8) == expected[:4]
    part.save(tmp_path)
    resumed.load(tmp_path)
    assert train(resumed, data, 4, spent=4, total=8) == expected[4:]
    for got, want in zip(resumed.module.parameters(), whole.module.parameters(), strict=True):
        assert torch.equal(got, want)


def test_it_learns_real_text_far_below_its_unigram_entropy(text: np.ndarray) -> None:
    model = small(state=64, batch=32, chunk=16)
    held_out = text[-20_000:]
    counts = np.bincount(held_out, minlength=256)
    share = counts[counts > 0] / counts.sum()
    entropy = -(share * np.log2(share)).sum()
    train(model, training_data(text[:-20_000]), 120)
    tokens = torch.from_numpy(held_out.astype(np.int64)).view(40, 500)
    scores = model.predict(tokens)[:, :-1].gather(2, tokens[:, 1:, None])
    assert -scores.mean().item() / np.log(2) < entropy - 1.0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"new_state": False}, "new_state and old_state are both false"),
        ({"dynamics": "plain", "forget_gate": True}, "dynamics: plain needs forget_gate: false"),
        ({"dynamics": "doubly_gated", "state_gate": False}, "dynamics: doubly_gated needs state_gate: true"),
        ({"output": "state", "new_state": False, "old_state": True}, "output: state needs new_state: true"),
        ({"output": "state", "output_gate": False, "residual": True}, "uses neither old_state nor residual"),
        ({"bptt": 64, "chunk": 32}, "bptt 64 is longer than the chunk of 32 steps"),
        ({"chunk": 32, "reset": 16}, "chunk 32 is longer than the windows of 16 tokens"),
    ],
)
def test_contradictions_in_the_configuration_are_errors_that_say_what_to_do(given: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RNNConfig(**given)


def test_the_configuration_shows_the_gates_that_the_dynamics_settle() -> None:
    config = RNNConfig(dynamics="plain", output="state", output_gate=False)
    assert not any([config.input_gate, config.forget_gate, config.state_gate, config.old_state, config.residual])
