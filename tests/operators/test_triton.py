"""Triton without a GPU: its interpreter keeps the promises of test_stencil.py, its compiler spills nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from builders.place import ROOT


def in_a_fresh_process(script: str, **environment: str) -> Any:
    """What a script prints as JSON; Triton decides at import whether it interprets."""
    folders = (ROOT, ROOT / "tests", Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, folders))} | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


INTERPRET = """
import torch, test_stencil as t
from functools import partial
from itertools import product
for dtype, cl in product((torch.float32, torch.bfloat16, torch.float16), (False, True)):
    t.check_case("triton", (3, 2, 1, 1), t.TABLES[2], dtype, cl)
    t.check_case("triton", (2, 8, 5, 3), t.TABLES[0], dtype, cl)
for case, cl in product(t.TABLES, (False, True)):
    t.check_case("triton", (2, 5, 5, 3), case, torch.float32, cl)
t.check_case("triton", (3, 1, 9, 15), t.TABLES[0], torch.float32, False)
t.check_case("triton", (1, 64, 3, 2), t.TABLES[3], torch.float32, True)
for cl in (False, True):
    t.test_a_clip_never_touches_another_not_even_in_the_last_bit("triton", cl)
    t.test_path_passes_gradcheck("triton", cl)
    t.test_only_the_gradient_that_is_asked_for_is_computed_and_it_is_the_same("triton", cl)
    t.test_a_nan_stays_in_its_clip_channel_and_pixel_and_within_reach("triton", torch.float32, cl)
t.test_no_clips_are_no_clips_and_give_zero_gradient("triton")
t.test_a_slice_and_a_permuted_clip_equal_their_contiguous_copies("triton")
t.test_autocast_changes_neither_the_result_nor_its_dtype("triton")
t.test_torchs_counter_is_told_the_nominal_taps_whatever_the_path_computes("triton")
t.test_torchs_counter_is_told_that_a_shift_multiplies_nothing("triton")
print("true")
"""


COMPILE = """
import json, subprocess, tempfile
from pathlib import Path
import torch, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from operators.stencil import kernels, triton as path

POINTERS = {"w_ptr": "*fp32", "partial_ptr": "*fp32"}
cuobjdump = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"

def usage(kernel, v, launch, flag, name, ones=()):
    _, _, constants = launch(v, 7, channels_last)
    constants = {**constants, flag: True, **{one: 1 for one in ones}}  # a size of 1 is a constant too
    names = kernel.arg_names
    kinds = {n: POINTERS.get(n, name) if n.endswith("_ptr") else "i32" for n in names if n not in constants}
    source = ASTSource(
        fn=kernel,
        signature={n: kinds.get(n, "constexpr") for n in names},
        constexprs={(names.index(n),): value for n, value in constants.items()},
        attrs={(names.index(n),): [["tt.divisibility", 16]] for n in kinds if n.endswith("_ptr")},
    )
    binary = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": path.WARPS})
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary.asm["cubin"]), file.flush()
        said = subprocess.run([cuobjdump, "-res-usage", file.name], capture_output=True, text=True, check=True)
    words = dict(w.split(":") for w in said.stdout.split() if w.count(":") == 1 and w.split(":")[1].isdigit())
    return {"registers": int(words["REG"]), "stack": int(words["STACK"])}

result = {}
for dtype, name in ((torch.float32, "*fp32"), (torch.bfloat16, "*bf16")):
    for frames, channels_last in ((8, False), (8, True)):
        shape = (8, frames, 49, 256) if channels_last else (8, frames, 256, 49)
        v = torch.empty(shape, dtype=dtype, device="meta")
        key = f"{name} {frames} {'channels_last' if channels_last else 'contiguous'}"
        result["forward " + key] = usage(kernels.filter_kernel, v, path.forward_launch, "FLIP", name)
        result["backward " + key] = usage(kernels.backward_kernel, v, path.backward_launch, "NEEDS_X", name)
v = v[:1, :, :1, :1]
for kernel, launch, flag, ones in (
    (kernels.filter_kernel, path.forward_launch, "FLIP", ("N", "C", "P")),
    (kernels.backward_kernel, path.backward_launch, "NEEDS_X", ("C", "P")),
):
    result[kernel.__name__ + ", a single number"] = usage(kernel, v, launch, flag, name, ones)
print(json.dumps(result))
"""


def test_a_triton_without_tuples_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    path = pytest.importorskip("operators.stencil.triton")
    assert path.missing(torch.device("cuda")) == ""
    monkeypatch.setattr(path.triton, "__version__", "3.2.0")
    assert path.missing(torch.device("cuda")).endswith("torch 2.7, or newer; here is 3.2.0")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_triton_kernels_compile_for_sm_90_and_spill_nothing(tmp_path: Any) -> None:
    """By Triton's own ptxas, without a GPU: the interpreter has hidden a kernel that did not compile."""
    pytest.importorskip("triton")
    used = in_a_fresh_process(COMPILE, TRITON_CACHE_DIR=str(tmp_path), TRITON_INTERPRET="0")
    assert len(used) == 10
    for kernel, resources in used.items():
        assert 0 < resources["registers"] <= 255, kernel
        assert resources["stack"] == 0, kernel


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_triton_path_keeps_every_promise_in_tritons_interpreter() -> None:
    pytest.importorskip("triton")
    assert in_a_fresh_process(INTERPRET, TRITON_INTERPRET="1")
