"""The state's way through time: a sequential pass without gradient, and the gradient of many steps at once.

`scan` runs through the steps one after another and keeps what the gradient needs: a `Trace`. `Advance` is autograd's
view of one step at many positions whose values a trace already holds: its forward pass computes nothing, its backward
pass is a handful of large products. The old state is an input like any other: a caller that passes constants gets
the gradient without backpropagation through time, one that passes the result of the step before gets it with that step.

Letters as in `bytelap_rnn.cell`: x (N, D) input, h (N, S) old state, u the gated [x, h], c candidate, z and f gates,
n new state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from bytelap_rnn.config import Dynamics

_sigmoid_gradient = torch.ops.aten.sigmoid_backward  # (gradient of σ(a), σ(a)) -> gradient of a
_tanh_gradient = torch.ops.aten.tanh_backward


class Weights(NamedTuple):
    """What makes one layer's state, joined so that a step needs few products; absent gates are None."""

    gate: Tensor | None
    """W_ix above W_ih: (D + S, D + S)."""
    gate_bias: Tensor | None
    core: Tensor
    """W_n above what W_z and W_f say to u: (S · (1 to 3), D + S)."""
    core_bias: Tensor
    update: Tensor | None
    """What W_z says to c: (S, S)."""
    forget: Tensor | None
    """What W_f says to n (doubly_gated: to c): (S, S)."""


@dataclass(frozen=True)
class Trace:
    """Values of the sequential pass, (T, B, ·) or, flattened, (N, ·), in the precision of its products."""

    doubly: bool
    seen: Tensor
    """[x, h], D + S wide."""
    gate: Tensor | None
    """The input gates, D + S wide."""
    used: Tensor
    """u, D + S wide; `seen` itself without input gates."""
    candidate: Tensor
    """c, S wide, as all that follow."""
    update: Tensor | None
    """z"""
    mixed: Tensor
    """What the forget gate multiplies (doubly_gated: unused): c without a state gate."""
    forget: Tensor | None
    """f"""
    new: Tensor
    """n"""

    def at(self, times: slice) -> Trace:
        """The values of some steps, (N, ·)."""

        def rows(values: Tensor) -> Tensor:
            return values[times].flatten(0, 1)

        return Trace(
            self.doubly,
            rows(self.seen),
            None if self.gate is None else rows(self.gate),
            rows(self.used),
            rows(self.candidate),
            None if self.update is None else rows(self.update),
            rows(self.mixed),
            None if self.forget is None else rows(self.forget),
            rows(self.new),
        )


@torch.no_grad()
def scan(x: Tensor, state: Tensor, weights: Weights, dynamics: Dynamics) -> tuple[Trace, Tensor]:
    """Read T steps one after another.

    Args:
        x: (T, B, D).
        state: (B, S), before the first step; it is carried in this precision.
        weights: in the precision of the products, which may be lower.
        dynamics: how candidate and old state are joined.

    Returns:
        The trace, and the state (B, S) after the last step.
    """
    trace, known = _begin(x, state.shape[1], weights, dynamics)
    inputs = x.shape[2]
    for t in range(len(x)):
        trace.seen[t, :, inputs:] = state
        if known is None:
            products = _gated_products(trace, weights, t)
        else:
            products = known[t].addmm_(trace.seen[t, :, inputs:], weights.core[:, inputs:].t())
        state = _advance(trace, weights, t, products, state)
        trace.new[t] = state
    return trace, state


def _begin(x: Tensor, size: int, weights: Weights, dynamics: Dynamics) -> tuple[Trace, Tensor | None]:
    """A trace with room for the states of x (T, B, D), and what x alone says to all steps, which needs no waiting.

    With input gates that is in the trace's `gate`; without them it is returned: x's part of the core products.
    """
    steps, rows, inputs = x.shape

    def room(width: int) -> Tensor:
        return x.new_empty(steps, rows, width, dtype=weights.core.dtype)  # (T, B, width)

    seen = used = room(inputs + size)
    seen[..., :inputs] = x
    gate = known = None
    if weights.gate is None:
        known = functional.linear(seen[..., :inputs], weights.core[:, :inputs], weights.core_bias)
    else:
        gate = functional.linear(seen[..., :inputs], weights.gate[:, :inputs], weights.gate_bias)
        used = room(inputs + size)
    doubly, candidate, new = dynamics == "doubly_gated", room(size), room(size)
    update = None if weights.update is None else room(size)
    forget = None if weights.forget is None else room(size)
    mixed = candidate if update is None else new if forget is None or doubly else room(size)
    return Trace(doubly, seen, gate, used, candidate, update, mixed, forget, new), known


def _gated_products(trace: Trace, weights: Weights, t: int) -> Tensor:
    """Open the input gates of step t; the products (B, ·) of u with the core weights."""
    assert trace.gate is not None
    assert weights.gate is not None
    size = trace.candidate.shape[-1]
    gate = trace.gate[t].addmm_(trace.seen[t, :, -size:], weights.gate[:, -size:].t()).sigmoid_()
    torch.mul(gate, trace.seen[t], out=trace.used[t])
    return torch.addmm(weights.core_bias, trace.used[t], weights.core.t())


def _advance(trace: Trace, weights: Weights, t: int, products: Tensor, h: Tensor) -> Tensor:
    """The new state (B, S) of step t, in h's precision; `products` is overwritten."""
    size = h.shape[1]
    n = products[:, :size].to(h.dtype, copy=True).tanh_()
    trace.candidate[t] = n
    column = size
    if weights.update is not None and trace.update is not None:
        value = products[:, column : column + size].addmm_(trace.candidate[t], weights.update.t())
        z = torch.sigmoid(value, out=trace.update[t])
        column += size
        if trace.doubly:
            n = n * z
        else:
            n = torch.lerp(h, n, z.to(h.dtype))
            trace.mixed[t] = n
    if weights.forget is not None and trace.forget is not None:
        told = trace.candidate[t] if trace.doubly else trace.mixed[t]
        f = torch.sigmoid(products[:, column:].addmm_(told, weights.forget.t()), out=trace.forget[t])
        n = torch.addcmul(n, f.to(h.dtype), h) if trace.doubly else n * f
    return n


class Advance(torch.autograd.Function):
    """See `advance`: forward hands out what the trace holds, backward computes."""

    @staticmethod
    def forward(ctx: Any, trace: Trace, x: Tensor, h: Tensor, *weights: Tensor | None) -> tuple[Tensor, Tensor]:
        ctx.trace, ctx.weights = trace, Weights(*weights)  # type: ignore[arg-type]
        ctx.set_materialize_grads(False)
        size = trace.new.shape[1]
        return trace.new.view_as(trace.new), trace.used[:, -size:]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        trace: Trace = ctx.trace
        weights: Weights = ctx.weights
        to_new, to_old = gradients
        size = trace.new.shape[1]
        to_h = to_gate = to_gate_bias = to_core_weight = to_core_bias = to_update = to_forget = None
        if to_new is not None:
            to_h, to_core, to_update, to_forget = _through_state(trace, weights, to_new)
            to_used = to_core @ weights.core
            to_core_weight, to_core_bias = to_core.t() @ trace.used, to_core.sum(0)
        else:
            to_used = torch.zeros_like(trace.seen)
        if to_old is not None:
            to_used[:, -size:] += to_old
        to_seen = to_used
        if trace.gate is not None and weights.gate is not None:
            opening = _sigmoid_gradient(to_used * trace.seen, trace.gate)
            to_seen = torch.addmm(to_used * trace.gate, opening, weights.gate)
            to_gate, to_gate_bias = opening.t() @ trace.seen, opening.sum(0)
        if not ctx.needs_input_grad[2]:  # the old state is a constant
            to_h = None
        else:
            to_h = to_seen[:, -size:] if to_h is None else to_seen[:, -size:] + to_h
        gradients_of_weights = to_gate, to_gate_bias, to_core_weight, to_core_bias, to_update, to_forget
        return None, to_seen[:, :-size], to_h, *gradients_of_weights


def advance(trace: Trace, x: Tensor, h: Tensor, weights: Weights) -> tuple[Tensor, Tensor]:
    """n (N, S) and u's state part (N, S) of traced positions as differentiable functions of x, h and the weights."""
    new, old = Advance.apply(trace, x, h, *weights)  # type: ignore[no-untyped-call]
    return new, old


def _through_state(
    trace: Trace, weights: Weights, to_n: Tensor
) -> tuple[Tensor | None, Tensor, Tensor | None, Tensor | None]:
    """From n's gradient (N, S) to those of h (its direct way), the core products (N, ·) and the two late weights."""
    size, c = trace.new.shape[1], trace.candidate
    h = trace.seen[:, -size:]
    to_core = c.new_empty(len(c), len(weights.core))
    candidate, update, forget = _columns(to_core, size, trace)
    to_h = to_update = to_forget = None
    direct = to_n  # what reaches n on this side of the forget gate (doubly_gated: n itself)
    if trace.forget is not None and weights.forget is not None:
        told = c if trace.doubly else trace.mixed
        _sigmoid_gradient(to_n * (h if trace.doubly else told), trace.forget, grad_input=forget)
        to_forget = forget.t() @ told
        if trace.doubly:
            to_h = to_n * trace.forget
        else:
            direct = torch.addmm(to_n * trace.forget, forget, weights.forget)
    to_c = direct
    if trace.update is not None and weights.update is not None:
        _sigmoid_gradient(direct * (c if trace.doubly else c - h), trace.update, grad_input=update)
        to_update = update.t() @ c
        kept = direct * trace.update
        if not trace.doubly:
            to_h = direct - kept
        to_c = torch.addmm(kept, update, weights.update)
        if trace.doubly and weights.forget is not None:
            to_c = to_c.addmm_(forget, weights.forget)
    _tanh_gradient(to_c, c, grad_input=candidate)
    return to_h, to_core, to_update, to_forget


def _columns(core: Tensor, size: int, trace: Trace) -> tuple[Tensor, Tensor, Tensor]:
    """The columns of the core products that belong to c, z and f; those of an absent gate are empty."""
    widths = [size, size * (trace.update is not None), size * (trace.forget is not None)]
    candidate, update, forget = torch.split(core, widths, dim=1)
    return candidate, update, forget
