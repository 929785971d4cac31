"""How each client's program is made and called. `python -m clients.builds` makes them all.

Programs in other languages are made under `target/clients`, once for each state of their sources, from versions that
the files beside the sources pin. Where a language is not installed its client is skipped, and says what is missing.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MADE = ROOT / "target" / "clients"


class ToolMissingError(Exception):
    """A language is not installed."""


@dataclass(frozen=True)
class Recipe:
    """How one program is made and called."""

    command: tuple[str, ...]
    language: str = ""
    tools: tuple[str, ...] = ()
    steps: tuple[tuple[str, ...], ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def make(self) -> list[str]:
        """Makes the program unless it is there; how to call it."""
        for tool in self.tools:
            if shutil.which(tool) is None:
                raise ToolMissingError(f"{tool} is not installed")
        if self.steps:
            with locked(self.language):
                self._make()
        return list(self.command)

    def _make(self) -> None:
        stamp = MADE / self.language / ".made-of"
        sources = self._fingerprint()
        if stamp.is_file() and stamp.read_text() == sources:
            return
        shutil.copytree(HERE / self.language, MADE / self.language, dirs_exist_ok=True)
        for step in self.steps:
            done = subprocess.run(
                step,
                cwd=MADE / self.language,
                env=os.environ | self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise RuntimeError(f"{' '.join(step)} failed\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
        stamp.write_text(sources)

    def _fingerprint(self) -> str:
        digest = hashlib.sha256(repr(self.steps).encode())
        for path in sorted((HERE / self.language).rglob("*")):
            if path.is_file():
                digest.update(str(path.relative_to(HERE)).encode() + path.read_bytes())
        return digest.hexdigest()


@contextmanager
def locked(language: str) -> Iterator[None]:
    """Keeps the workers of a parallel run from making the same program."""
    MADE.mkdir(parents=True, exist_ok=True)
    with (MADE / f"{language}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def python(script: str, **environment: str) -> Recipe:
    """A program in Python."""
    settings = [f"{name}={value}" for name, value in environment.items()]
    return Recipe(("env", *settings, sys.executable, str(HERE / "python" / script)))


def old_kafka_python(version: str) -> Recipe:
    """The program of kafka-python with the version that `make venv` puts into a folder of its own."""
    folder = ROOT / ".venv" / "clients" / f"kafka-python-{version}"
    return python("with_kafka_python.py", KAFKA_PYTHON=str(folder))


def java(group_protocol: str = "classic") -> Recipe:
    """The program of the Java client, tuned to start soon."""
    folder = MADE / "java"
    return Recipe(
        command=(
            *("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"),
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            f"-Dgroup.protocol={group_protocol}",
            *("-cp", f"{folder / 'classes'}:{folder / 'jars' / '*'}", "Client"),
        ),
        language="java",
        tools=("java", "javac", "mvn"),
        steps=(
            ("mvn", "--quiet", "--batch-mode", "dependency:copy-dependencies", "-DoutputDirectory=jars"),
            ("javac", "-d", "classes", "-cp", "jars/*", "Client.java"),
        ),
    )


def go(name: str) -> Recipe:
    """A program in Go."""
    return Recipe(
        command=(str(MADE / "go" / "bin" / name),),
        language="go",
        tools=("go",),
        steps=(("go", "build", "-o", "bin/", "./franz", "./sarama"),),
    )


def kafkajs() -> Recipe:
    """The program of kafkajs."""
    return Recipe(
        command=("node", str(MADE / "kafkajs" / "client.js")),
        language="kafkajs",
        tools=("node", "npm"),
        steps=(("npm", "ci", "--no-audit", "--no-fund"),),
    )


def rust(name: str) -> Recipe:
    """A program in Rust."""
    folder = MADE / "rust"
    return Recipe(
        command=(str(folder / "target" / "debug" / name),),
        language="rust",
        tools=("cargo", "make"),
        steps=(("cargo", "build", "--quiet", "--locked"),),
        environment={"CARGO_TARGET_DIR": str(folder / "target")},
    )


FOREIGN = (go("franz"), kafkajs(), java(), rust("with_rdkafka"))


def main() -> None:
    """Makes all programs; says which are skipped and why."""
    for recipe in FOREIGN:
        try:
            recipe.make()
        except ToolMissingError as missing:
            print(f"skipped: the clients in {recipe.language}, because {missing}")


if __name__ == "__main__":
    main()
