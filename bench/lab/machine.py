"""Where and when a figure was measured: without these it means nothing."""

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path

from lab.contenders import LITELLM, PORTKEY
from lab.stage import Cores
from lab.tools import program


def facts(cores: Cores, command: list[str]) -> dict[str, object]:
    return {
        "command": " ".join(command),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "cores_used": {"server": cores.server, "upstream": cores.upstream, "load": cores.load},
        "load_average_before": load_average(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": versions(),
    }


def load_average() -> list[float]:
    return [round(load, 2) for load in os.getloadavg()]


def cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def versions() -> dict[str, str]:
    found = {"nginx": nginx_version(), "portico": package_version("portico")}
    for metadata in LITELLM.parent.parent.glob("lib/*/site-packages/litellm-*.dist-info"):
        found["litellm"] = metadata.name.removeprefix("litellm-").removesuffix(".dist-info")
    package = PORTKEY / "package.json"
    if package.exists():
        found["portkey"] = json.loads(package.read_text())["version"]
    for library in ("uvicorn", "uvloop", "httptools", "msgspec"):
        found[library] = package_version(library)
    return found


def package_version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def nginx_version() -> str:
    command = [program("nginx", "nginx"), "-v"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    return said.strip().rpartition("/")[2]
