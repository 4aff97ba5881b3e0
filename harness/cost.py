"""What a variant costs at a stated geometry: parameters, MACs, and the latency of one clip.

The geometry is the paper's (ResNet-50, 224x224) whatever the study trains, so that costs of all studies compare.
MACs: one multiply-add = 1; convolutions, the classifier and the operators count, taps outside the clip included;
batch norm, activations and pooling do not (as in the paper, which prints MACs as "FLOPS").
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from harness.model import BACKBONES, ModelConfig, MSTNet, to_memory_format
from harness.records import CostRecord, to_json
from operators import TemporalOp


@dataclass(frozen=True, kw_only=True)
class CostConfig:
    """At which geometry costs are taken. Defaults: MixTConv paper, Table 2.

    Attributes:
        num_classes: of the classifier (174: Something-Something).
        size: pixels of a square frame.
        num_frames: T; 0 takes the variant's own.
        latency: measure it, or only count.
        repeats: timed rounds on a CPU; ten times as many on a GPU.
    """

    backbone: str = "resnet50"
    num_classes: int = 174
    size: int = 224
    num_frames: int = 0
    latency: bool = True
    repeats: int = 5

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            raise ValueError(f"backbone: no backbone {self.backbone!r}; known: {', '.join(BACKBONES)}")
        for name in ("num_classes", "size", "repeats"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} is below 1")


@dataclass(frozen=True)
class Counts:
    """MACs of one clip: the network's own, and the operators' (None where one does not state them)."""

    network: int
    operators: int | None


def count_macs(model: MSTNet, size: int) -> Counts:
    """Count by shapes alone: the model must be on the meta device, and nothing is computed."""
    network = 0
    added: list[int | None] = []

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal network
        if isinstance(module, nn.Conv2d):
            network += output.numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            network += output.numel() * module.in_features
        elif isinstance(module, TemporalOp):
            added.append(module.macs(*inputs[0].shape[3:]))

    bypassed = [op for _, op in model.operators()]
    hooks = [module.register_forward_hook(count) for module in model.modules()]
    for op in bypassed:  # shapes are kept by contract, and an outside operator need not run on meta tensors
        op.forward = lambda x: x  # type: ignore[method-assign]
    try:
        model.eval()(torch.empty(1, model.num_frames, 3, size, size, device="meta"))
    finally:
        for hook in hooks:
            hook.remove()
        for op in bypassed:
            del op.forward
    stated = [macs for macs in added if macs is not None]
    return Counts(network, sum(stated) if len(stated) == len(added) else None)


def count(config: CostConfig, model: ModelConfig, num_frames: int) -> CostRecord:
    """Parameters and MACs of a variant; latency is left empty.

    Raises:
        ValueError: the operator refuses its settings or the channels of a block.
    """
    frames = config.num_frames or num_frames
    placed = dataclasses.replace(model, backbone=config.backbone, weights="")
    with torch.device("meta"):
        network = MSTNet(placed, frames, config.num_classes)
    counts = count_macs(network, config.size)
    params = sum(p.numel() for p in network.parameters())
    added = sum(p.numel() for _, op in network.operators() for p in op.parameters())
    return CostRecord(
        geometry={
            "backbone": config.backbone, "placement": model.placement, "num_frames": frames,
            "size": config.size, "num_classes": config.num_classes,
        },
        params_total=params, params_added=added,
        macs_total=None if counts.operators is None else counts.network + counts.operators,
        macs_added=counts.operators,
    )  # fmt: skip


def measure(
    config: CostConfig,
    variants: Mapping[str, tuple[ModelConfig, int]],
    device: torch.device,
    *,
    channels_last: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, list[float]]:
    """Time single forward passes of one clip (fp32, no gradients), in milliseconds; every sample after warm-up.

    A round times every variant once, in a shuffled order, so that a slow minute of the machine hits all alike.
    All networks are in memory at once (about 100 MB each for ResNet-50).

    Args:
        variants: name -> (network, T).
    """
    layout = torch.channels_last if channels_last else torch.contiguous_format
    models, clips = {}, {}
    for name, (model, num_frames) in variants.items():
        frames = config.num_frames or num_frames
        placed = dataclasses.replace(model, backbone=config.backbone, weights="")
        network = MSTNet(placed, frames, config.num_classes).to(device).eval()
        models[name] = to_memory_format(network, layout)
        shape = (frames, 3, config.size, config.size)
        clip = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device, memory_format=layout)
        clips[name] = clip[None]
    warm_ups, repeats = (10, 10 * config.repeats) if device.type == "cuda" else (1, config.repeats)
    samples: dict[str, list[float]] = {name: [] for name in models}
    order, shuffle = list(models), random.Random(0)
    for turn in range(warm_ups + repeats):
        shuffle.shuffle(order)
        for name in order:
            elapsed = _forward_ms(models[name], clips[name], device)
            if turn >= warm_ups:
                samples[name].append(elapsed)
        progress(turn + 1, warm_ups + repeats)
    return samples


@torch.inference_mode()
def _forward_ms(model: nn.Module, clip: Tensor, device: torch.device) -> float:
    if device.type == "cuda":
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        model(clip)
        end.record()
        torch.cuda.synchronize()
        return start.elapsed_time(end)
    begin = time.perf_counter()
    model(clip)
    return 1e3 * (time.perf_counter() - begin)


def measured_on(device: torch.device, channels_last: bool, allocator: str) -> dict[str, str]:
    """Whatever a latency depends on besides the variant."""
    on_gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name() if on_gpu else cpu_name(),
        "threads": "" if on_gpu else str(torch.get_num_threads()),
        "precision": "fp32",
        "memory_format": "channels_last" if channels_last else "contiguous",
        "allocator": "" if on_gpu else allocator,
        "torch": torch.__version__,
    }


def cpu_name() -> str:
    """The processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.split(':', 1)[1].strip()}, {os.cpu_count()} cores"
    except OSError:
        pass
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def costs(
    config: CostConfig,
    variants: Mapping[str, tuple[ModelConfig, int]],
    sources: Mapping[str, str],
    device: torch.device,
    cache: Path,
    *,
    channels_last: bool,
    allocator: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, CostRecord]:
    """Counts and latencies of all variants, measured together once and then kept in the folder `cache`.

    Args:
        sources: a fingerprint of each variant's operator code, so that a changed one is measured again.
    """
    if not config.latency:
        return _count_all(config, variants)
    on = measured_on(device, channels_last, allocator)
    decides = {
        "config": dataclasses.asdict(config),
        "variants": {name: [dataclasses.asdict(model), frames] for name, (model, frames) in variants.items()},
        "sources": dict(sources),
        "on": on,
    }
    key = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]
    path = cache / f"{key}.json"
    if path.exists():
        return {name: CostRecord(**record) for name, record in json.loads(path.read_text()).items()}
    samples = measure(config, variants, device, channels_last=channels_last, progress=progress)
    result = {
        name: dataclasses.replace(record, latency_ms=samples[name], measured_on=on)
        for name, record in _count_all(config, variants).items()
    }
    cache.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.partial")
    temporary.write_text(json.dumps({name: to_json(record) for name, record in result.items()}))
    os.replace(temporary, path)
    return result


def _count_all(config: CostConfig, variants: Mapping[str, tuple[ModelConfig, int]]) -> dict[str, CostRecord]:
    return {name: count(config, model, frames) for name, (model, frames) in variants.items()}
