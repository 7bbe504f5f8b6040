"""The two C programs: compiled into bench/build when their source is newer."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lab.model import BenchError

HERE = Path(__file__).parent
BUILD = HERE.parent / "build"


@dataclass(frozen=True, slots=True)
class Tools:
    upstream: Path
    load: Path


def program(name: str, package: str) -> str:
    """Path of a program.  Raises: BenchError: it is not installed; the text says what installs it."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        raise BenchError(f"{name} is missing. Install it: apt-get install {package}")
    return path


def compiled(name: str, into: Path) -> Path:
    source, binary = HERE / f"{name}.c", into / name
    newest = max(source.stat().st_mtime, (HERE / "stamp.h").stat().st_mtime)
    if binary.exists() and binary.stat().st_mtime >= newest:
        return binary
    command = [program("cc", "gcc"), "-O2", "-Wall", "-Wextra", "-o", str(binary), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{source.name} does not compile:\n{done.stderr}")
    return binary


def build(into: Path = BUILD) -> Tools:
    into.mkdir(parents=True, exist_ok=True)
    return Tools(upstream=compiled("upstream", into), load=compiled("load", into))
