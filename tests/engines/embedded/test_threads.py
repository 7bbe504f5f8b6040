"""Threads are the physical cores we may really use, not what the machine was sold with."""

from pathlib import Path

import pytest

from portico.engines.embedded.threads import usable_cores


def machine(root: Path, siblings: dict[int, str], cpu_max: str = "") -> Path:
    for cpu, cores in siblings.items():
        topology = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{cores}\n")
    if cpu_max:
        (root / "sys/fs/cgroup").mkdir(parents=True)
        (root / "sys/fs/cgroup/cpu.max").write_text(f"{cpu_max}\n")
    return root


FOUR_CORES = {cpu: f"{cpu % 4},{cpu % 4 + 4}" for cpu in range(8)}


@pytest.mark.parametrize(
    ("cpu_max", "usable", "cores"),
    [
        ("", range(8), 4),  # hyper-threads count once
        ("max 100000", range(8), 4),
        ("250000 100000", range(8), 2),  # two and a half CPUs of quota
        ("50000 100000", range(8), 1),  # half a CPU is still one thread
        ("800000 100000", range(8), 4),
        ("nonsense", range(8), 4),
        ("", (0, 4), 1),  # both threads of one core
        ("", (0, 1, 5), 2),
    ],
)
def test_cores(tmp_path, cpu_max, usable, cores):
    root = machine(tmp_path, FOUR_CORES, cpu_max)
    assert usable_cores(root, frozenset(usable)) == cores


def test_cgroup_v1(tmp_path):
    root = machine(tmp_path, FOUR_CORES)
    old = root / "sys/fs/cgroup/cpu"
    old.mkdir(parents=True)
    (old / "cpu.cfs_quota_us").write_text("300000\n")
    (old / "cpu.cfs_period_us").write_text("100000\n")
    assert usable_cores(root, frozenset(range(8))) == 3


def test_without_sys_every_cpu_counts(tmp_path):
    assert usable_cores(tmp_path, frozenset(range(3))) == 3
    assert usable_cores() >= 1
