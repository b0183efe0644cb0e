"""Where and in which arithmetic things are computed: device, precision, threads, memory, the processor.

bfloat16 is applied by torch.autocast around a method's calls. Layers that handle a few numbers (heads, style codes) and
everything a loss compares stay in float32: 8 bits of mantissa would cost accuracy there and save no time.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import weakref
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from drit import peers
from drit.errors import UsageError

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # numbers of malloc.h


def cores() -> int:
    """CPU cores that this process may use; all of them where the system does not tell (macOS, Windows)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> str:
    """The processor in words, with its cores; no name of the machine itself."""
    name = platform.processor() or platform.machine()
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        name = next(line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    count = cores()
    return f"{name}, {count} core{'s' if count > 1 else ''}, {platform.system()}"


def free_memory() -> int:
    """Bytes of memory that are free or can be freed; 4 GiB where the system does not tell."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 4 << 30


def free_gpu_memory(device: torch.device) -> int:
    """Bytes of a GPU that tensors can still take, what this process holds in reserve among them."""
    reserve = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + reserve


def keep_freed_memory() -> None:
    """Have the C library keep freed memory for the next tensor, in place of giving it back to the system.

    glibc returns blocks of more than 32 MiB at once, and the next tensor of that size then costs a page fault for every
    4 KiB: a fifth of the time of many styles (docs/performance.md). Does nothing where the C library is another.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_MAX, 0)
            mallopt(_M_TRIM_THRESHOLD, -1)
            mallopt(_M_TOP_PAD, 64 << 20)


def make_deterministic() -> None:
    """Have this process use algorithms alone that give the same bits each time. What has none raises RuntimeError.

    cuBLAS reads its workspace's size when it is first used: before that, this must be called.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True)


def choose_device(name: str) -> torch.device:
    """The device a name means. Of several processes on a machine, each has a GPU of its own.

    Raises UsageError for one that is not there, and where these processes are more than the GPUs.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.partition(":")[0] == "cuda" and peers.local_count() > 1:
        if name != "cuda":
            raise UsageError(f"{name} would be the GPU of {peers.local_count()} processes: use --device cuda or cpu.")
        gpus = torch.cuda.device_count()
        if peers.local_count() > gpus:
            raise UsageError(
                f"{peers.local_count()} processes were started on a machine with {gpus} GPU{'s' * (gpus != 1)}: start "
                "no more processes than GPUs (torchrun --nproc-per-node), or use --device cpu."
            )
    try:
        device = torch.device("cuda", peers.local_rank()) if name == "cuda" else torch.device(name)
        torch.zeros(1, device=device).item()  # the device "meta" gives nothing back
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"There is no device '{name}' here: {str(error).splitlines()[0]} Use cpu or auto.") from error
    return device


def use_threads(threads: int) -> None:
    """Compute with this many threads on the CPU, in this process, and keep freed memory."""
    torch.set_num_threads(threads)
    keep_freed_memory()


class Arithmetic(NamedTuple):
    """The settings of a process that results can depend on in their last bits."""

    threads: int
    tf32_convolutions: bool
    tf32_products: bool

    @classmethod
    def current(cls) -> Arithmetic:
        """Those of this process."""
        return cls(torch.get_num_threads(), torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)

    def apply(self) -> None:
        """Have this process compute with them."""
        use_threads(self.threads)
        torch.backends.cudnn.allow_tf32 = self.tf32_convolutions
        torch.backends.cuda.matmul.allow_tf32 = self.tf32_products


def full(x: Tensor) -> Tensor:
    """x, of any shape, in float32 if it is narrower; float32 and float64 stay as they are."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def full_precision(x: Tensor) -> torch.autocast:
    """A context in which autocast does nothing on the device of x, of any shape."""
    device = x.device.type
    return torch.autocast("cpu" if device == "meta" else device, enabled=False)  # autocast knows no tensors of shapes


def choose(precision: str, device: torch.device) -> torch.dtype:
    """The type for convolutions: `auto` takes bfloat16 where the processor computes in it, else float32.

    A "float32" that was asked for is exact: the library, for the process, no longer takes 10 bits of mantissa for it
    (TF32) in convolutions and products on a GPU.
    """
    if precision == "float32":
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    if precision not in ("auto", "float32", "bfloat16"):
        raise UsageError(f"There is no precision '{precision}': auto, float32 or bfloat16.")
    if precision != "auto":
        return torch.bfloat16 if precision == "bfloat16" else torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    # a torch without this function says nothing of the processor: float32 is right everywhere
    able: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    native = able.get("avx512_bf16", False) or able.get("amx_tile", False)
    return torch.bfloat16 if native else torch.float32


def autocast(dtype: torch.dtype, device: torch.device) -> torch.autocast:
    """The context that computes convolutions in `dtype`."""
    return torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16)


class AliveBytes(TorchDispatchMode):
    """Counts the bytes of the storages that operations create, for as long as anything holds them.

    `count` counts a tensor (any shape) that was there before.
    """

    def __init__(self) -> None:
        super().__init__()
        self.alive = 0
        self.peak = 0
        self._seen: weakref.WeakSet[Any] = weakref.WeakSet()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # keeps torch from loading its compiler, which takes seconds and is not used

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        torch.utils._pytree.tree_map_only(Tensor, self.count, out)
        return out

    def count(self, x: Tensor) -> None:
        """Count a tensor of any shape, once for each storage."""
        storage = x.untyped_storage()
        if storage in self._seen:
            return
        self._seen.add(storage)
        size = storage.nbytes()
        weakref.finalize(storage, self._free, size)
        self.alive += size
        self.peak = max(self.peak, self.alive)

    def _free(self, size: int) -> None:
        self.alive -= size
