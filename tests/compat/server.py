"""One `chronik-server` process for a foreign suite: a single node with the id 0, as those suites expect."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chronik.testing import wait_for
from ports import free_ports, is_free

PROGRAM = Path(sys.executable).parent / "chronik-server"


@contextmanager
def server(folder: Path, port: int | None = None, **settings: object) -> Iterator[int]:
    """A running server with these broker settings (`_` for `.`); its port. Its log stays in the folder."""
    kafka_port, raft_port = (port or free_ports(1)[0]), free_ports(1)[0]
    if not is_free(kafka_port):
        raise RuntimeError(f"port {kafka_port}, which the suite insists on, is taken")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [str(PROGRAM), "--node-id", "0", "--kafka-port", str(kafka_port)]
    command += ["--raft-addr", f"127.0.0.1:{raft_port}", "--data-dir", str(folder / "data")]
    for name, value in settings.items():
        command += ["--set", f"{name.replace('_', '.')}={value}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CHRONIK_")}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        wait_for(lambda: not is_free(kafka_port), 30, "the server")
        yield kafka_port
    finally:
        process.kill()
        process.wait()
