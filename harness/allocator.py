"""How a process on the CPU allocates its tensors, set before the first one.

glibc gives every freed tensor of some size back to the system at once, so that each result pays page faults again:
a copy of 100 MB took 58 ms instead of 9. Keeping freed memory and asking for huge pages costs nothing but memory
that the process would have used anyway; docs/performance.md has the figures.
"""

from __future__ import annotations

import ctypes
import os
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # mallopt's names, from glibc's malloc.h


def keep_freed_memory() -> str:
    """Set the allocator of this process and say how, in a word for the record; call before tensors exist.

    Does nothing, and says so, on a system without glibc, under another allocator (LD_PRELOAD), or where the
    environment variable MIXTBENCH_ALLOCATOR is `default`.
    """
    if os.environ.get("MIXTBENCH_ALLOCATOR", "") == "default":
        return "default"
    if os.environ.get("LD_PRELOAD"):
        return "preloaded"
    if not sys.platform.startswith("linux"):
        return "default"
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # read by torch at its first allocation
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # musl
        return "default"
    done = mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, -1) and mallopt(_M_TOP_PAD, 64 << 20)
    return "keep_freed+huge_pages" if done else "default"
