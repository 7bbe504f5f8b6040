"""Can the embedded engine run on this machine?  Asked in a child, because loading the wheel on a
CPU it was not built for ends the process that tries."""

import asyncio
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from portico.engines.embedded.child import WORKER, child_environment

_PROBE_S = 20.0


@dataclass(frozen=True, slots=True)
class Wheel:
    """usable: may an embedded engine be started?  version: of xllamacpp, "" when unusable.
    problem, remedy: one sentence each, "" when usable."""

    usable: bool
    version: str = ""
    problem: str = ""
    remedy: str = ""


async def probe_wheel(
    command: tuple[str, ...] = WORKER, cpuinfo: Path = Path("/proc/cpuinfo")
) -> Wheel:
    """Takes about 0.2 s, at most 20.  Never raises for an unusable wheel: Portico then starts
    without the embedded engine and says why."""
    if lacks_avx2(cpuinfo):
        return Wheel(False, "", "This CPU has no AVX2, which the embedded engine needs.", _REMOTE)
    process = await asyncio.create_subprocess_exec(
        *command,
        "--probe",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=child_environment(),
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(_PROBE_S):
            out, _ = await process.communicate()
    except TimeoutError:
        return Wheel(False, "", f"The engine did not load within {_PROBE_S:.0f} s.", _REMOTE)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return _verdict(process.returncode or 0, out.decode(errors="replace").strip())


def _verdict(code: int, said: str) -> Wheel:
    if code == 0:
        return Wheel(True, said)
    if code == -signal.SIGILL:
        return Wheel(
            False, "", "This CPU lacks instructions the embedded engine was built for.", _REMOTE
        )
    return Wheel(False, "", said or f"The engine's process ended with code {code}.", _INSTALL)


def lacks_avx2(cpuinfo: Path) -> bool:
    """Only an x86-64 Linux that lists its flags without avx2 is known to lack it."""
    if sys.platform != "linux":
        return False
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith("flags")), "")
    return bool(flags) and "avx2" not in flags.split()


_REMOTE = "Serve a model elsewhere: portico serve --upstream URL."
_INSTALL = (
    "Use a glibc-based system (Debian, Ubuntu, Fedora; not Alpine) and reinstall Portico, or "
    "serve a model elsewhere: portico serve --upstream URL."
)
