"""The Triton kernels. Sizes that the compiler must know are capital, as are the letters of operators/base.py.

A clip is short, so a program owns all T frames of its pixels: there is no halo, and the ends of the clip are
conditions that the compiler decides. Every tensor is dense: (N, T, C, P), or (N, T, P, C) with CHANNELS_LAST.
WIDE is the type that sums are kept in; taps come in it.
"""

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["BLOCKS"])  # else every grid were compiled anew
def filter_kernel(
    x_ptr, w_ptr, y_ptr, N, C, P, BLOCKS,
    T: tl.constexpr, K: tl.constexpr, CHANNELS_LAST: tl.constexpr, FLIP: tl.constexpr,
    BLOCK: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """One program: BLOCK neighbouring elements of a frame (N = C*P of them), in all T frames of one clip."""
    clip = (tl.program_id(0) // BLOCKS).to(tl.int64)
    n = (tl.program_id(0) % BLOCKS) * BLOCK + tl.arange(0, BLOCK)
    inside = n < N
    c = n % C if CHANNELS_LAST else n // P
    R: tl.constexpr = K // 2
    first = clip * T * N + n
    taps = ()
    for k in tl.static_range(K):
        row = K - 1 - k if FLIP else k
        taps = taps + (tl.load(w_ptr + row * C + c, mask=inside, other=0.0),)
    frames = ()
    for t in tl.static_range(T):
        frames = frames + (tl.load(x_ptr + first + t * N, mask=inside, other=0.0).to(WIDE),)
    for t in tl.static_range(T):
        total = tl.zeros((BLOCK,), WIDE)
        for k in tl.static_range(K):
            if (t + k - R >= 0) and (t + k - R < T):
                total += taps[k] * frames[t + k - R]
        tl.store(y_ptr + first + t * N, total.to(y_ptr.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["CLIPS", "TILES"])
def backward_kernel(
    x_ptr, g_ptr, w_ptr, grad_x_ptr, partial_ptr, CLIPS, C, P, TILES,
    T: tl.constexpr, K: tl.constexpr, CHANNELS_LAST: tl.constexpr, PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr, WIDE: tl.constexpr, NEEDS_X: tl.constexpr,
):  # fmt: skip
    """One program: CHANNELS channels, and every S-th tile of PIXELS pixels of all clips (S: the grid's second
    axis). It keeps the K sums for the taps in registers and writes them once, to partial (S, K, C)."""
    c = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    own, splits = tl.program_id(1), tl.num_programs(1)
    R: tl.constexpr = K // 2
    known = c < C
    taps = ()
    sums = ()
    for k in tl.static_range(K):
        taps = taps + (tl.load(w_ptr + k * C + c, mask=known, other=0.0)[None, :],)
        sums = sums + (tl.zeros((PIXELS, CHANNELS), WIDE),)
    for i in range(own, CLIPS * TILES, splits):
        clip = (i // TILES).to(tl.int64)
        p = (i % TILES) * PIXELS + tl.arange(0, PIXELS)
        inside = (p < P)[:, None] & known[None, :]
        if CHANNELS_LAST:
            offset = p[:, None] * C + c[None, :]
        else:
            offset = c[None, :] * P + p[:, None]
        first = clip * T * C * P + offset
        frames = ()
        grads = ()
        for t in tl.static_range(T):
            at = first + t * (C * P)
            grads = grads + (tl.load(g_ptr + at, mask=inside, other=0.0).to(WIDE),)
            frames = frames + (tl.load(x_ptr + at, mask=inside, other=0.0).to(WIDE),)
        grown = ()
        for k in tl.static_range(K):
            total = sums[k]
            for t in tl.static_range(T):
                if (t + k - R >= 0) and (t + k - R < T):
                    total += grads[t] * frames[t + k - R]
            grown = grown + (total,)
        sums = grown
        if NEEDS_X:
            for t in tl.static_range(T):
                back = tl.zeros((PIXELS, CHANNELS), WIDE)
                for k in tl.static_range(K):
                    if (t - k + R >= 0) and (t - k + R < T):  # frame t - k + R read frame t with tap k
                        back += taps[k] * grads[t - k + R]
                tl.store(grad_x_ptr + first + t * (C * P), back.to(grad_x_ptr.dtype.element_ty), mask=inside)
    for k in tl.static_range(K):
        tl.store(partial_ptr + (own * K + k) * C + c, tl.sum(sums[k], 0), mask=known)
