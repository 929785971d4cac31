"""Every link of three nodes and their clients, each direction of which can be cut, delayed or reset.

Messages from node a to node b travel on the connection that a opens to b and on no other, so "from a to b" is the
forward direction of one link; its backward direction carries nothing but the greeting. Clients reach a node through
two links, one for its ordinary address and one for its pinned address.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

PROXY = Path(__file__).with_name("proxy.py")


@dataclass(frozen=True)
class Addresses:
    """Where a node really listens."""

    kafka: str
    pinned: str
    raft: str


class Network:
    """The links, carried by a process of proxies. Until a fault is asked for, all is well."""

    def __init__(self, nodes: Mapping[int, Addresses]) -> None:
        self._nodes = tuple(nodes)
        links = [(f"client>{id}", real.kafka) for id, real in nodes.items()]
        links += [(f"client>{id}-pinned", real.pinned) for id, real in nodes.items()]
        links += [(f"{a}>{b}", nodes[b].raft) for a in nodes for b in nodes if a != b]
        self._names = [name for name, _ in links]
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, str(PROXY), json.dumps(links)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._ports: dict[str, int] = self._answer()
        self._shapes = {(name, way): (False, 0.0) for name in self._names for way in ("forward", "backward")}

    # Addresses, as the others see them.

    def kafka_port(self, node: int) -> int:
        return self._ports[f"client>{node}"]

    def pinned_port(self, node: int) -> int:
        return self._ports[f"client>{node}-pinned"]

    def raft_port(self, seen_from: int, node: int) -> int:
        return self._ports[f"{seen_from}>{node}"]

    # Faults.

    def cut(self, a: int, b: int, *, one_way: bool = False) -> None:
        """Holds what goes from a to b, and, unless one way, from b to a."""
        self._shape(f"{a}>{b}", "forward", held=True)
        if not one_way:
            self._shape(f"{b}>{a}", "forward", held=True)

    def isolate(self, node: int) -> None:
        """Cuts a node off from all others; its clients still reach it."""
        for other in self._nodes:
            if other != node:
                self.cut(node, other)

    def cut_clients(self, node: int, ways: Iterable[str]) -> None:
        """Holds what goes from clients to a node ("forward"), from it to clients ("backward"), or both."""
        for way in ways:
            self._shape(f"client>{node}", way, held=True)
            self._shape(f"client>{node}-pinned", way, held=True)

    def delay(self, a: int, b: int, ms: float) -> None:
        """What goes from a to b takes that long, and up to twice that."""
        self._shape(f"{a}>{b}", "forward", delay_ms=ms)

    def delay_clients(self, node: int, ms: float) -> None:
        """What goes between clients and a node takes that long in each direction, and up to twice that."""
        for way in ("forward", "backward"):
            self._shape(f"client>{node}", way, delay_ms=ms)
            self._shape(f"client>{node}-pinned", way, delay_ms=ms)

    def reset(self, name: str) -> None:
        """Ends all connections of a link, such as "1>2", "client>1" or "client>1-pinned"."""
        self._command({"reset": name})

    def recover(self) -> None:
        """All links are well again; what they held arrives."""
        for name, way in self._shapes:
            if self._shapes[name, way] != (False, 0.0):
                self._shape(name, way)

    def names(self) -> list[str]:
        """All links."""
        return list(self._names)

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=10)

    def _shape(self, name: str, way: str, *, held: bool = False, delay_ms: float = 0.0) -> None:
        self._shapes[name, way] = (held, delay_ms)
        self._command({"shape": name, "direction": way, "held": held, "delay_ms": delay_ms})

    def _command(self, command: dict[str, object]) -> None:
        with self._lock:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
            self._answer()

    def _answer(self) -> dict[str, int]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the process of the proxies has ended")
        answer = json.loads(line)
        return answer if isinstance(answer, dict) else {}
