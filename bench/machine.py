"""What the figures were taken on: no figure means anything without it."""

import importlib.metadata
import os
import platform
import re
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from bench import node as nodejs
from bench.processes import Cores

PACKAGES = (
    *("cryptography", "uvicorn", "httptools", "uvloop", "orjson", "psycopg"),
    *("pyjwt", "joserfc", "authlib", "flask", "gunicorn"),
)
NPM = ("oidc-provider", "express", "jsonwebtoken", "jose", "@okta/jwt-verifier")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Processor, memory, system, interpreters and packages."""

    cpu: str
    cores: int
    ifma: bool
    """Whether RSA has the AVX512-IFMA instructions, without which it takes twice the time."""

    memory_gib: float
    system: str
    python: str
    build: str
    packages: dict[str, str]
    load: float
    """Processes that wanted to run in the last minute, before anything was measured."""

    apart: bool
    """Whether servers and those who ask have a core each."""

    def lines(self) -> list[str]:
        """In words."""
        shared = "" if self.apart else "; one core for servers and those who ask"
        ifma = f"{'with' if self.ifma else 'without'} AVX512-IFMA"
        load = f"load {self.load:.2f} before"
        return [
            f"{self.cpu}, {self.cores} cores{shared}, {ifma}, {self.memory_gib:.0f} GiB, {load}",
            f"{self.system}; Python {self.python} ({self.build})",
            ", ".join(f"{name} {version}" for name, version in self.packages.items()),
        ]


def machine(node: Path | None) -> Machine:
    """This one."""
    cpu = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", cpu, re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return Machine(
        cpu=model[1] if model else platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        ifma="avx512ifma" in cpu,
        memory_gib=int(memory[1]) / 2**20 if memory else 0.0,
        system=f"Linux {platform.release().partition('-')[0]}, {_system()}",
        python=platform.python_version(),
        build=_build(),
        packages=_packages(node),
        load=os.getloadavg()[0],
        apart=Cores.ours().apart,
    )


def _build() -> str:
    """How the interpreter was made: that alone is worth a fifth either way."""
    said = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    lto = "--with-lto" in said or "-flto" in str(sysconfig.get_config_var("PY_CFLAGS") or "")
    pgo = "--enable-optimizations" in said
    return f"{platform.python_compiler()}, {'' if pgo else 'no '}PGO, {'' if lto else 'no '}LTO"


def _system() -> str:
    found = Path("/etc/os-release")
    text = found.read_text() if found.exists() else ""
    name = re.search(r'^PRETTY_NAME="?([^"\n]*)', text, re.MULTILINE)
    return name[1] if name else "unknown"


def _packages(node: Path | None) -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "missing"
    if node is not None:
        found["node"] = nodejs.version(node).removeprefix("v")
        for name in NPM:
            told = nodejs.PACKAGES / name / "package.json"
            version = re.search(r'"version":\s*"([^"]+)"', told.read_text())
            found[name] = version[1] if version else "unknown"
    return found
