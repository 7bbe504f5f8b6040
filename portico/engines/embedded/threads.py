"""How many threads a model may compute with: the physical cores this process really has.

Two threads on one core, or threads beyond the quota of a container, spin at llama.cpp's barriers
and make generation slower than a single thread (measured 818 against 5,470 tokens/s).
"""

import math
import os
from pathlib import Path


def usable_cores(root: Path = Path("/"), usable_cpus: frozenset[int] | None = None) -> int:
    """Physical cores within CPU affinity and cgroup quota; at least 1.

    root: where /sys is, for tests.  usable_cpus: logical CPUs we may run on, None to ask.
    """
    if usable_cpus is None:
        usable_cpus = _affinity()
    cores = len({_core_of(root, cpu) for cpu in usable_cpus})
    quota = _cgroup_quota(root)
    return max(1, cores if quota is None else min(cores, math.floor(quota)))


def _affinity() -> frozenset[int]:
    try:
        return frozenset(os.sched_getaffinity(0))
    except AttributeError:  # macOS has no affinity
        return frozenset(range(os.cpu_count() or 1))


def _core_of(root: Path, cpu: int) -> str:
    """A name shared by the hardware threads of one core."""
    siblings = root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
    return _read(siblings) or f"cpu{cpu}"


def _cgroup_quota(root: Path) -> float | None:
    """CPUs allowed by cgroup v2 or v1; None when unlimited or unknown."""
    quota_us, _, period_us = _read(root / "sys/fs/cgroup/cpu.max").partition(" ")
    if not period_us:
        quota_us = _read(root / "sys/fs/cgroup/cpu/cpu.cfs_quota_us")
        period_us = _read(root / "sys/fs/cgroup/cpu/cpu.cfs_period_us")
    if not quota_us.isdigit() or not period_us.isdigit() or int(period_us) == 0:
        return None
    return int(quota_us) / int(period_us)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
