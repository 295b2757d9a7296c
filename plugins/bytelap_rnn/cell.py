"""One layer of the gated grid: its weights and equations, and how it reads many steps of many rows.

Equations, x (N, D) the layer's input, h (N, S) the old state, [·, ·] concatenation, σ the logistic function; every
W has a bias (A. Faust, SLMfun, SystematicRNNExploration: "gated" is that grid, the other dynamics were its wishes):

    u = [x, h];  with the input gate      u = [σ(W_ix u) x, σ(W_ih u) h]
    c = tanh(W_n u);  n = c
    gated:         with the state gate    n = z c + (1 - z) h,   z = σ(W_z [u, c])
                   with the forget gate   n = f n,               f = σ(W_f [u, n])
    doubly_gated:  n = f h + z c,         f = σ(W_f [u, c]),     z = σ(W_z [u, c])
    r = [n if new_state, the state part of u if old_state, x if residual]
    o = W_o r (n itself where the output is the state);  with the output gate o = o σ(W_og [o, r]), else o = SiLU(o)

n is the next state, o what the layer above sees. Where o is the state there is no SiLU, and its gate sees r alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from bytelap_rnn.advance import Weights, advance, scan

if TYPE_CHECKING:
    from bytelap_rnn.config import RNNConfig


class GridLayer(nn.Module):
    """One recurrent layer; `inputs` is D; o is `outputs` wide, or S where the output is the state."""

    def __init__(self, config: RNNConfig, inputs: int, outputs: int) -> None:
        super().__init__()
        self.config = config
        self.inputs, self.states = inputs, config.state
        self.outputs = outputs if config.output == "linear" else config.state
        both, seen = inputs + config.state, inputs + 2 * config.state
        read = config.state * (config.new_state + config.old_state) + inputs * config.residual
        if config.input_gate:
            self.gate_input = nn.Linear(both, inputs)
            self.gate_state = nn.Linear(both, config.state)
        self.candidate = nn.Linear(both, config.state)
        if config.state_gate:
            self.state_gate = nn.Linear(seen, config.state)
        if config.forget_gate:
            self.forget_gate = nn.Linear(seen, config.state)
        if config.output == "linear":
            self.output = nn.Linear(read, outputs)
        if config.output_gate:
            self.output_gate = nn.Linear(read + outputs * (config.output == "linear"), self.outputs)

    def forward(self, x: Tensor, state: Tensor, bptt: int, precision: torch.dtype) -> tuple[Tensor, Tensor]:
        """Read T steps.

        Args:
            x: (T, B, D) in `precision`.
            state: (B, S), before the first step.
            bptt: gradients stay within segments of so many steps; 1: every old state is a constant.
            precision: of products and outputs; the state is carried in its own.

        Returns:
            o (T, B, outputs), and the state (B, S) after the last step, without gradient.
        """
        steps, rows, _ = x.shape
        weights = self._joined(precision)
        trace, last = scan(x, state, weights, self.config.dynamics)
        news: list[Tensor] = []
        olds: list[Tensor] = []
        new = trace.seen[::bptt, :, self.inputs :].flatten(0, 1)  # (segments * B, S)
        for offset in range(min(bptt, steps)):  # step `offset` of all segments at once; the last one may be shorter
            times = slice(offset, None, bptt)
            read = x[times].flatten(0, 1)  # (N, D)
            new, old = advance(trace.at(times), read, new[: len(read)], weights)
            news.append(new)
            olds.append(old)
        old = _interleave(olds, rows) if self.config.old_state else olds[0]
        o = self._read(x.flatten(0, 1), old, _interleave(news, rows))
        return o.view(steps, rows, self.outputs), last

    def _joined(self, precision: torch.dtype) -> Weights:
        """The weights that make the state, joined where they see the same; gradients go back to the parts."""
        config = self.config
        gates = [self.gate_input, self.gate_state] if config.input_gate else []
        late_gates = [self.state_gate] if config.state_gate else []
        late_gates += [self.forget_gate] if config.forget_gate else []
        core = [self.candidate.weight.to(precision)]
        late: list[Tensor] = []
        for gate in late_gates:
            early, to_state = torch.split(gate.weight.to(precision), [self.inputs + self.states, self.states], dim=1)
            core.append(early)
            late.append(to_state)
        return Weights(
            gate=torch.cat([gate.weight.to(precision) for gate in gates]) if gates else None,
            gate_bias=torch.cat([gate.bias for gate in gates]).to(precision) if gates else None,
            core=torch.cat(core),
            core_bias=torch.cat([part.bias for part in (self.candidate, *late_gates)]).to(precision),
            update=late[0] if config.state_gate else None,
            forget=late[-1] if config.forget_gate else None,
        )

    def _read(self, x: Tensor, old: Tensor, new: Tensor) -> Tensor:
        """The layer's output (N, outputs) from its input, u's state part and the new state."""
        config = self.config
        r = torch.cat([new] * config.new_state + [old] * config.old_state + [x] * config.residual, dim=1)
        if config.output == "state":
            return new * torch.sigmoid(linear(self.output_gate, r)) if config.output_gate else new
        if not config.output_gate:
            return functional.silu(linear(self.output, r))
        gate_weight = self.output_gate.weight.to(r.dtype)
        from_output, from_rest = torch.split(gate_weight, [self.outputs, r.shape[1]], dim=1)
        weight = torch.cat([self.output.weight.to(r.dtype), from_rest])
        bias = torch.cat([self.output.bias, self.output_gate.bias]).to(r.dtype)
        o, gate = torch.split(functional.linear(r, weight, bias), self.outputs, dim=1)
        return o * torch.sigmoid(torch.addmm(gate, o, from_output.t()))

    def unreached(self) -> list[nn.Parameter]:
        """What gets no gradient without backpropagation through time if the output does not see the new state."""
        names = ["candidate", "state_gate", "forget_gate", "gate_input"]
        names += [] if self.config.old_state else ["gate_state"]
        parts = [getattr(self, name) for name in names if name in self._modules]
        return [parameter for part in parts for parameter in part.parameters()]


def _interleave(parts: list[Tensor], rows: int) -> Tensor:
    """Put time steps back in order: parts[j] (·, S) holds steps j, j + k, j + 2 k, … of (T * B, S), B = `rows`."""
    if len(parts) == 1:
        return parts[0]
    total = sum(len(part) for part in parts) // rows
    order = torch.cat([torch.arange(total)[offset :: len(parts)] for offset in range(len(parts))]).argsort()
    steps = torch.cat(parts).view(total, rows, -1)
    return steps.index_select(0, order.to(steps.device)).flatten(0, 1)


def linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """The layer in the precision of x."""
    return functional.linear(x, layer.weight.to(x.dtype), layer.bias.to(x.dtype))
