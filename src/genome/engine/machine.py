"""A short description of the hardware that an engine runs on, so that times of different machines are not mixed."""

import os
import platform
import subprocess
from collections import Counter
from pathlib import Path

from genome.limits import usable_cores

CPUINFO = Path("/proc/cpuinfo")


def processors() -> str:
    """Return the number and name of the cores that this process may use: "2 x Intel(R) Xeon(R) Processor"."""
    lines = CPUINFO.read_text(encoding="utf-8").splitlines() if CPUINFO.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = next(filter(None, [*names, platform.processor(), platform.machine()]), "unknown processor")
    return f"{usable_cores()} x {name}"


def accelerators() -> str:
    """Return the GPUs visible to a server started here, "4 x NVIDIA A100-SXM4-80GB"; without GPUs the processors."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None and chosen.strip() in ("", "-1"):
        return processors()
    some = ["--id", chosen] if chosen else []
    try:
        shown = subprocess.run(
            ["nvidia-smi", *some, "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True
        )
    except OSError:
        return processors()
    names = Counter(line.strip() for line in shown.stdout.splitlines() if line.strip())
    if shown.returncode or not names:
        return processors()
    return " + ".join(f"{count} x {name}" for name, count in sorted(names.items()))
