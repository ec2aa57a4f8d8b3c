"""The selective scan: a linear recurrence along the tokens whose decay and input the tokens choose themselves.

Mamba (arXiv 2312.00752, section 3): h_n = exp(dt_n a) h_{n-1} + u_n b_n and y_n = <c_n, h_n>, with u_n = dt_n x_n (the
decay is discretised exactly, the input by Euler). Two forms of one sum: "sequential" goes token by token and is what the
other is tested against; "chunked" cuts the sequence, walks all chunks side by side once to learn with which state each
begins, and a second time with these states. It multiplies decays only, never their inverses, so it is as stable as the
first. Its backward keeps one state a chunk and computes the others again. Both work in float32 at least.
Shapes: g groups with an `a` of their own (directions), r rows, n tokens, e channels, s states a channel, k chunks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad
from torch.utils.flop_counter import register_flop_formula

from frisket.core.errors import check, unknown

Kernel = Literal["chunked", "sequential"]
AT_ONCE = 2**17  # numbers of the state that are worked on at once: enough to hide Python, few enough for a cache
WORTH = 4  # chunks
MACS_PER_STATE = 9  # of one token's one state: how papers on Mamba count a scan (the CUDA kernel's fused work)


def selective_scan(
    u: Float[Tensor, "g r n e"], dt: Float[Tensor, "g r n e"], a: Float[Tensor, "g e s"],
    b: Float[Tensor, "g r n s"], c: Float[Tensor, "g r n s"], kernel: str = "chunked", chunk: int | None = None,
) -> Float[Tensor, "g r n e"]:  # fmt: skip
    """y_n = <c_n, h_n> with h_n = exp(dt_n a) h_{n-1} + u_n b_n, h before the first token being zero.

    dt: at least 0; a: at most 0 (a larger product grows without bound). chunk: tokens of a chunk; chosen by the size of
    the state if None; it changes nothing but rounding. The chunked form is differentiable once, the sequential one as
    often as torch's operations are. Raises `FrisketError` on an unknown kernel or a chunk below 1.
    """
    if kernel not in KERNELS:
        raise unknown("scan kernel", kernel, KERNELS)
    check(chunk is None or chunk >= 1, "chunk", chunk, "at least 1")
    wide = torch.promote_types(u.dtype, torch.float32)
    y = KERNELS["chunked" if u.is_meta else kernel](*(v.to(wide) for v in (u, dt, a, b, c)), chunk)
    return y.to(u.dtype)


def _sequential(u: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, chunk: int | None) -> Tensor:
    h = u.new_zeros(*u.shape[:2], *a.shape[1:])  # (g, r, e, s)
    ys = []
    for n in range(u.shape[2]):
        decay = torch.exp(dt[:, :, n, :, None] * a[:, None])
        h = decay * h + u[:, :, n, :, None] * b[:, :, n, None, :]
        ys.append((h * c[:, :, n, None, :]).sum(-1))
    return torch.stack(ys, 2)


def _chunked(u: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, chunk: int | None) -> Tensor:
    size = chunk_of(u.shape, a.shape[-1]) if chunk is None else min(chunk, u.shape[2])
    return _Scan.apply(u, dt, a, b, c, size)[0]  # type: ignore[index]


KERNELS: dict[str, Callable[..., Tensor]] = {"chunked": _chunked, "sequential": _sequential}


def chunk_of(shape: tuple[int, ...] | torch.Size, states: int) -> int:
    """Tokens of a chunk for u of this shape (g, r, n, e): up to sqrt(n) chunks, and all tokens in one where fewer than
    `WORTH` would fill the processor, because cutting costs a second walk."""
    g, r, n, e = shape
    chunks = min(math.isqrt(n), AT_ONCE // max(1, g * r * e * states))
    return -(-n // chunks) if chunks >= WORTH else max(1, n)


# The operation works on chunks laid side by side: (t, g, q, ...) with t places in a chunk and q = r * k of them.


def _scan(u: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    """y, and the state (g, r, k, s, e) with which each chunk begins."""
    (us, dts, bs, cs), rate = _lay((u, dt, b, c), chunk), _rate(a)
    starts = _starts(us, dts, bs, rate, u.shape[1])
    h = starts.flatten(1, 2).clone()
    ys = torch.empty_like(us)
    decay = torch.empty_like(h)
    for t in range(chunk):
        _step(h, decay, us[t], dts[t], bs[t], rate)
        torch.matmul(cs[t].unsqueeze(-2), h, out=ys[t].unsqueeze(-2))
    return _unlay(ys, u.shape), starts


def _scan_backward(
    grad: Tensor, u: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, starts: Tensor, chunk: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    (gs, us, dts, bs, cs), rate = _lay((grad, u, dt, b, c), chunk), _rate(a)
    states, decays = _states(us, dts, bs, rate, starts)
    back = _ends(gs, decays, dts, cs, rate, u.shape[1])  # d loss / d the state in front of a place, from what follows
    out = [torch.empty_like(v) for v in (us, dts, bs, cs)]
    sums, part = torch.zeros_like(back), torch.empty_like(back)
    for t in reversed(range(chunk)):
        torch.addcmul(back, cs[t].unsqueeze(-1), gs[t].unsqueeze(-2), out=back)  # d loss / d state
        torch.matmul(bs[t].unsqueeze(-2), back, out=out[0][t].unsqueeze(-2))
        torch.sum(torch.mul(back, us[t].unsqueeze(-2), out=part), -1, out=out[2][t])  # a product would be slower
        torch.sum(torch.mul(states[t + 1], gs[t].unsqueeze(-2), out=part), -1, out=out[3][t])
        back.mul_(decays[t])
        torch.mul(back, states[t], out=part)  # d loss / d (dt a)
        sums.addcmul_(part, dts[t].unsqueeze(-2))
        torch.sum(part.mul_(rate), -2, out=out[1][t])
    grads = [_unlay(v, (*u.shape[:3], v.shape[-1])) for v in out]
    return grads[0], grads[1], sums.sum(1).transpose(1, 2).contiguous(), grads[2], grads[3]


def _shapes(u: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    g, r, n, e = u.shape
    return torch.empty_like(u), u.new_empty(g, r, -(-n // chunk), a.shape[-1], e)


def _backward_shapes(
    grad: Tensor, u: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, starts: Tensor, chunk: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    return tuple(torch.empty_like(v) for v in (u, dt, a, b, c))  # type: ignore[return-value]


# An operation of torch's own kind, so that a counter sees one call and not its steps. Registered by hand: the decorator
# for it imports the compiler, which takes seconds.
LIBRARY = torch.library.Library("frisket", "FRAGMENT")
LIBRARY.define("selective_scan(Tensor u, Tensor dt, Tensor a, Tensor b, Tensor c, int chunk) -> (Tensor, Tensor)")
LIBRARY.define(
    "selective_scan_backward(Tensor grad, Tensor u, Tensor dt, Tensor a, Tensor b, Tensor c, Tensor starts, int chunk)"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor)"
)
LIBRARY.impl("selective_scan", _scan, "CompositeExplicitAutograd")
LIBRARY.impl("selective_scan", _shapes, "Meta")
LIBRARY.impl("selective_scan_backward", _scan_backward, "CompositeExplicitAutograd")
LIBRARY.impl("selective_scan_backward", _backward_shapes, "Meta")


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(u: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
        return torch.ops.frisket.selective_scan(u, dt, a, b, c, chunk)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        *tensors, ctx.chunk = inputs
        ctx.save_for_backward(*tensors, output[1])
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        back = torch.ops.frisket.selective_scan_backward(grads[0].contiguous(), *ctx.saved_tensors, ctx.chunk)
        return (*back, None)


def _lay(values: tuple[Tensor, ...], chunk: int) -> list[Tensor]:
    """(g, r, n, w) -> (chunk, g, r * k, w); places behind the end hold zeros, which leave the state as it is."""
    out = []
    for v in values:
        g, r, n, w = v.shape
        full = pad(v, (0, 0, 0, -n % chunk)) if n % chunk else v
        out.append(full.reshape(g, r, -1, chunk, w).permute(3, 0, 1, 2, 4).reshape(chunk, g, -1, w).contiguous())
    return out


def _unlay(v: Tensor, shape: tuple[int, ...] | torch.Size) -> Tensor:
    g, r, n, w = shape
    whole = v.reshape(len(v), g, r, -1, w).permute(1, 2, 3, 0, 4).reshape(g, r, -1, w)
    return whole[:, :, :n].contiguous()


def _rate(a: Tensor) -> Tensor:
    """(g, e, s) -> (g, 1, s, e): channels last, so that the inner loop is long."""
    return a.transpose(1, 2).unsqueeze(1).contiguous()


def _step(h: Tensor, decay: Tensor, u: Tensor, dt: Tensor, b: Tensor, rate: Tensor) -> None:
    """One place further, in place."""
    torch.mul(dt.unsqueeze(-2), rate, out=decay).exp_()
    h.mul_(decay).addcmul_(b.unsqueeze(-1), u.unsqueeze(-2))


def _starts(us: Tensor, dts: Tensor, bs: Tensor, rate: Tensor, r: int) -> Tensor:
    """The state (g, r, k, s, e) in front of each chunk: every chunk walked from zero, then one after another joined."""
    h = us.new_zeros(*us.shape[1:3], *rate.shape[2:])
    if us.shape[2] > r:
        decay = torch.empty_like(h)
        for t in range(len(us)):
            _step(h, decay, us[t], dts[t], bs[t], rate)
        ends = h.unflatten(1, (r, -1))
        whole = _whole(dts, rate).unflatten(1, (r, -1))
        h = torch.zeros_like(ends)
        for k in range(1, ends.shape[2]):
            torch.addcmul(ends[:, :, k - 1], whole[:, :, k - 1], h[:, :, k - 1], out=h[:, :, k])
        return h
    return h.unflatten(1, (r, -1))


def _states(us: Tensor, dts: Tensor, bs: Tensor, rate: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
    """Every state (chunk + 1, g, q, s, e), the first being the start, and every decay (chunk, g, q, s, e)."""
    first = starts.flatten(1, 2)
    states = first.new_empty(len(us) + 1, *first.shape)
    decays = first.new_empty(len(us), *first.shape)
    states[0] = first
    for t in range(len(us)):
        states[t + 1] = states[t]
        _step(states[t + 1], decays[t], us[t], dts[t], bs[t], rate)
    return states, decays


def _ends(gs: Tensor, decays: Tensor, dts: Tensor, cs: Tensor, rate: Tensor, r: int) -> Tensor:
    """d loss / d the last state of each chunk, by the chunks behind it: as `_starts`, from the other end."""
    back = torch.zeros_like(decays[0])
    if gs.shape[2] == r:
        return back
    for t in reversed(range(len(gs))):
        back.addcmul_(cs[t].unsqueeze(-1), gs[t].unsqueeze(-2)).mul_(decays[t])
    firsts, whole = back.unflatten(1, (r, -1)), _whole(dts, rate).unflatten(1, (r, -1))
    out = torch.zeros_like(firsts)
    for k in reversed(range(firsts.shape[2] - 1)):
        torch.addcmul(firsts[:, :, k + 1], whole[:, :, k + 1], out[:, :, k + 1], out=out[:, :, k])
    return out.flatten(1, 2)


def _whole(dts: Tensor, rate: Tensor) -> Tensor:
    """The decay over a whole chunk (g, q, s, e)."""
    return torch.exp(dts.sum(0).unsqueeze(-2) * rate)


@register_flop_formula(torch.ops.frisket.selective_scan)
def _flops(u: Any, dt: Any, a: Any, b: Any, c: Any, chunk: int, *, out_shape: Any = None, **rest: Any) -> int:
    """Operations of one call, two for each multiply-accumulate; the length of a chunk does not count."""
    g, r, n, e = u
    return 2 * MACS_PER_STATE * g * r * n * e * a[-1]


@register_flop_formula(torch.ops.frisket.selective_scan_backward)
def _backward_flops(grad: Any, u: Any, dt: Any, a: Any, *rest: Any, out_shape: Any = None, **more: Any) -> int:
    """Twice the forward's, as for a matrix product."""
    g, r, n, e = u
    return 2 * 2 * MACS_PER_STATE * g * r * n * e * a[-1]
