"""Three `chronik-server` processes on files with fsync, which know each other and are known only through proxies."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import chronik
from chronik.testing import Connection, wait_for
from ports import free_ports

from .network import Addresses, Network

NODES = (1, 2, 3)
LISTENERS = ("kafka", "pinned", "raft")
START_SECONDS = 60.0
PROGRAM = Path(sys.executable).parent / "chronik-server"


class Servers:
    """The processes, their files below one folder, and their network."""

    def __init__(self, folder: Path, *, read_gate: bool = True) -> None:
        self._folder = folder
        self._read_gate = read_gate
        ports = iter(free_ports(len(NODES) * len(LISTENERS)))
        self._real = {id: Addresses(*(f"127.0.0.1:{next(ports)}" for _ in LISTENERS)) for id in NODES}
        self.network = Network(self._real)
        self.addresses = {id: f"127.0.0.1:{self.network.kafka_port(id)}" for id in NODES}
        self.pinned_addresses = {id: f"127.0.0.1:{self.network.pinned_port(id)}" for id in NODES}
        self.bootstrap_servers = ",".join(self.addresses.values())
        self._lock = threading.Lock()
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        try:
            for id in NODES:
                self._write_file(id)
                self.start(id)
            self.wait_until_whole()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self.kill(*list(self._running))
        self.network.stop()

    # What can be done to them.

    def start(self, id: int) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CHRONIK_")}
        with (self._folder / f"node{id}.log").open("ab") as log:
            command = [str(PROGRAM), "--config", str(self._folder / f"node{id}.toml")]
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        with self._lock:
            self._running[id] = process

    def kill(self, *ids: int) -> None:
        """`kill -9`, all at once, and waits until they are gone."""
        with self._lock:
            ending = [process for id in ids if (process := self._running.pop(id, None)) is not None]
        for process in ending:
            process.kill()
        for process in ending:
            process.wait(10)

    def terminate(self, id: int) -> int:
        """SIGTERM, as in a rolling restart; the exit status."""
        with self._lock:
            process = self._running.pop(id)
        process.terminate()
        return process.wait(30)

    def freeze(self, id: int) -> None:
        self._running[id].send_signal(signal.SIGSTOP)

    def thaw(self, id: int) -> None:
        self._running[id].send_signal(signal.SIGCONT)

    def fill_disk(self, id: int, file_bytes_max: int) -> None:
        """No file of this node grows beyond that: writes fail as on a full disk."""
        pid = self._running[id].pid
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (file_bytes_max, resource.RLIM_INFINITY))

    def free_disk(self, id: int) -> None:
        pid = self._running[id].pid
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def wipe(self, id: int) -> None:
        """All files of a node that does not run are gone."""
        shutil.rmtree(self._folder / f"data{id}")

    # What they say.

    def largest_file_bytes(self, id: int) -> int:
        """How large the largest file of a node is."""
        files = [path.stat().st_size for path in (self._folder / f"data{id}").rglob("*") if path.is_file()]
        return max(files, default=0)

    def is_running(self, id: int) -> bool:
        process = self._running.get(id)
        return process is not None and process.poll() is None

    def unexpected_exits(self) -> list[str]:
        """Processes that ended and were not told to."""
        with self._lock:
            ended = {id: process.poll() for id, process in self._running.items()}
        return [f"node {id} ended by itself with status {status}" for id, status in ended.items() if status is not None]

    def log(self, id: int) -> str:
        return (self._folder / f"node{id}.log").read_text(errors="replace")

    def leader(self, topic: str) -> int:
        """The leader in the newest epoch that any running node knows; -1 while there is none."""
        known = [(-1, -1)]
        for id, real in self._real.items():
            if not self.is_running(id):
                continue
            try:
                with Connection(real.kafka, timeout=1) as connection:
                    found = connection.metadata([topic]).topics[0]
            except (chronik.ChronikError, IndexError):
                continue
            if found.error_code == 0 and found.partitions:
                known.append((found.partitions[0].leader_epoch, found.partitions[0].leader))
        return max(known)[1]

    def is_whole(self, topic: str | None = None) -> bool:
        """Every node runs, sees every node and, when a topic is named, has its replica in sync."""
        return all(self._sees_all(id, topic) for id in NODES)

    def wait_until_whole(self, topic: str | None = None, timeout: float = START_SECONDS) -> None:
        wait_for(lambda: self.is_whole(topic), timeout, "all nodes see each other")

    def _sees_all(self, id: int, topic: str | None) -> bool:
        try:
            with Connection(self._real[id].kafka, timeout=1) as connection:
                answer = connection.metadata([] if topic is None else [topic])
        except chronik.ChronikError:
            return False
        in_sync = all(len(part.in_sync) == len(NODES) for found in answer.topics for part in found.partitions)
        led = all(part.leader > 0 for found in answer.topics for part in found.partitions)
        return len(answer.brokers) == len(NODES) and in_sync and led

    def _write_file(self, id: int) -> None:
        real = self._real[id]
        peers = "\n".join(self._peer(id, other) for other in NODES)
        text = f"""
            enabled = true
            node_id = {id}
            replication_factor = 3
            min_insync_replicas = 2
            rack = "rack-{id}"
            durability = "fsync"
            data_dir = "{self._folder / f"data{id}"}"
            pinned_port = {real.pinned.rpartition(":")[2]}
            bind = {{ kafka = "{real.kafka}", raft = "{real.raft}" }}
            advertise = {{ kafka = "{self.addresses[id]}" }}
        """
        config = "" if self._read_gate else '\n[config]\n"chronik.test.gate" = "off"\n'
        (self._folder / f"node{id}.toml").write_text(text + peers + config)

    def _peer(self, seen_from: int, id: int) -> str:
        raft = self._real[id].raft if id == seen_from else f"127.0.0.1:{self.network.raft_port(seen_from, id)}"
        return f"""
            [[peers]]
            id = {id}
            addr = "{self.addresses[id]}"
            raft = "{raft}"
        """
