"""The machine: pinning and threads before any heavy import, what it is, and whether it was quiet."""

from __future__ import annotations

import hashlib
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import psutil

from bytelap.execution.record import MachineFacts

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_RECORDED_VARIABLES = (
    *THREAD_VARIABLES,
    "CUDA_VISIBLE_DEVICES",
    "PYTORCH_CUDA_ALLOC_CONF",
    "OMP_WAIT_POLICY",
    "OPENBLAS_CORETYPE",
)
_RECORDED_PACKAGES = ("bytelap", "torch", "numpy", "lightgbm", "scikit-learn", "tokenizers", "tiktoken", "mamba-ssm")

# A run is called disturbed if a reading is off by more than this.
SLOWEST_CALIBRATION = 0.75
LOWEST_CPU_WALL_RATIO = 0.9


def available_cores() -> list[int]:
    """The cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def available_gpus() -> list[str]:
    """The CUDA devices this process may use, found without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [device for device in visible.split(",") if device.strip() and device.strip() != "-1"]
    with suppress(OSError, subprocess.SubprocessError):
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=10, check=True).stdout
        return [str(index) for index, line in enumerate(listing.splitlines()) if line.startswith("GPU ")]
    return []


def thread_environment(threads: int) -> dict[str, str]:
    """Environment variables that limit every numerical library to so many threads."""
    return dict.fromkeys(THREAD_VARIABLES, str(threads))


def peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes."""
    with suppress(OSError):  # Linux: `ru_maxrss` would include the parent's peak from before exec
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024


def calibrate() -> float:
    """GFLOP/s of a fixed float32 matrix product, about 20 ms: how fast this core is at this moment."""
    import numpy as np

    size, repeats = 384, 4
    matrix = np.random.default_rng(0).standard_normal((size, size), dtype=np.float32)
    matrix @ matrix  # wakes the library up
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        matrix @ matrix
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best / 1e9


def fingerprint(device: str, cores: Sequence[int], calibration: list[tuple[float, float]]) -> MachineFacts:
    """What the machine is; each fact is best effort."""
    return MachineFacts(
        processor=_processor(device),
        cores=os.cpu_count() or 0,
        memory_bytes=psutil.virtual_memory().total,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        device=device,
        threads=int(os.environ.get("OMP_NUM_THREADS") or 0) or (os.cpu_count() or 1),
        pinned_cores=list(cores),
        versions=_versions(),
        environment={name: os.environ[name] for name in _RECORDED_VARIABLES if name in os.environ},
        calibration=calibration,
        load_average=os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0,
    )


def disturbance(calibration: Sequence[tuple[float, float]], cpu_wall_ratio: float | None, device: str) -> str:
    """One sentence if the machine was not quiet during training; empty if it was."""
    speeds = [speed for _, speed in calibration]
    if len(speeds) >= 3 and min(speeds) < SLOWEST_CALIBRATION * statistics.median(speeds):
        share = min(speeds) / statistics.median(speeds)
        return f"the calibration kernel fell to {share:.0%} of its median speed"
    if device == "cpu" and cpu_wall_ratio is not None and cpu_wall_ratio < LOWEST_CPU_WALL_RATIO:
        return f"the process had its core for {cpu_wall_ratio:.0%} of the training time only"
    return ""


def source_hash(module: str) -> str:
    """SHA-256 over the Python files of a plugin's top package, 16 hexadecimal digits; empty if there are none."""
    with suppress(ImportError, ValueError):
        spec = find_spec(module.partition(".")[0])
        if spec is not None and spec.origin is not None:
            origin = Path(spec.origin)
            files = sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]
            digest = hashlib.sha256()
            for file in files:
                digest.update(str(file.relative_to(origin.parent)).encode() + b"\0" + file.read_bytes())
            return digest.hexdigest()[:16]
    return ""


def git_state() -> tuple[str, bool]:
    """(commit, has uncommitted changes) of the checkout that bytelap runs from; empty if it is none."""
    here = Path(__file__).parent
    with suppress(OSError, subprocess.SubprocessError):

        def git(*words: str) -> str:
            return subprocess.run(
                ["git", "-C", str(here), *words],
                capture_output=True,
                text=True,
                timeout=10,
                check=True,
            ).stdout.strip()

        if git("ls-files", "--error-unmatch", str(Path(__file__))):  # not some other repository around site-packages
            return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--untracked-files=no"))
    return "", False


def _versions() -> dict[str, str]:
    found = {}
    for package in _RECORDED_PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _processor(device: str) -> str:
    if device != "cpu":
        with suppress(Exception):
            import torch

            return str(torch.cuda.get_device_name())
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
