"""What is done to the servers: one fault after the other by a seed, with a bias to the leader.

Most faults begin when all is well again, so that a majority is always connected and the time of a failover means
something; some begin at once, on top of what the last one left behind.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from chronik.errors import ClusterTimeoutError
from chronik.testing import Recording

from .servers import NODES, Servers

LEADER_SHARE = 0.7
WHOLE_SHARE = 0.8
WHOLE_SECONDS = 30.0
FREEZE_SECONDS = (0.2, 10.0)
CUT_SECONDS = (0.3, 6.0)
DOWN_SECONDS = (0.1, 2.0)
FULL_SECONDS = (0.5, 3.0)
DELAY_MS = (5, 150)
CLIENTS_SHARE = 0.3
DISK_ROOM_BYTES_MAX = 20_000
REST_SECONDS = (0.1, 1.0)
WIPED_READS = 20
TOUR_PACE = 0.2


class Faults:
    """The schedule of one run, and what it did."""

    def __init__(self, servers: Servers, history: Recording, topic: str, seed: int) -> None:
        self._pace = 1.0
        self._servers = servers
        self._network = servers.network
        self._history = history
        self._topic = topic
        self._random = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.leader_kills_ns: list[int] = []
        """When a leader was killed while everything else was well."""

    def run(self, seconds: float) -> None:
        """Faults until the time is up; each ends before the next begins, but for what it leaves behind."""
        deadline = time.monotonic() + seconds
        kinds, weights = list(KINDS), list(KINDS.values())
        while time.monotonic() < deadline:
            if self._random.random() < WHOLE_SHARE:
                self._wait_until_whole()
            self._random.choices(kinds, weights)[0](self)
            self._rest(REST_SECONDS)

    def run_each(self) -> None:
        """Every fault once, in order, and none for long: a short tour."""
        self._pace = TOUR_PACE
        for kind in KINDS:
            self._wait_until_whole()
            kind(self)

    def heal(self) -> None:
        """Ends whatever is still under way, and waits until all is well."""
        for id in NODES:
            if not self._servers.is_running(id):
                self._servers.start(id)
        self._network.recover()
        self._wait_until_whole()

    # Processes.

    def kill_leader(self) -> None:
        self._wait_until_whole()
        leader = self._servers.leader(self._topic)
        if leader < 0:
            return
        self.leader_kills_ns.append(time.monotonic_ns())
        with self._fault("kill leader", f"kill -9 of node {leader}, the leader", paused=[leader]):
            self._servers.kill(leader)
            self._wait_for_a_write()
            self._rest(DOWN_SECONDS)
            self._servers.start(leader)

    def kill_some(self) -> None:
        node = self._victim()
        with self._fault("kill", f"kill -9 of node {node}", paused=[node]):
            self._servers.kill(node)
            self._rest(DOWN_SECONDS)
            self._servers.start(node)

    def kill_all(self) -> None:
        with self._fault("full stop", "kill -9 of all nodes at once", paused=NODES):
            self._servers.kill(*NODES)
            self._rest(DOWN_SECONDS)
            for id in self._random.sample(NODES, len(NODES)):
                self._servers.start(id)
            self._wait_until_whole()

    def freeze(self) -> None:
        node = self._victim()
        with self._fault("freeze", f"SIGSTOP of node {node}", paused=[node]):
            self._servers.freeze(node)
            # Most pauses are short: a long one is one failover, as a short one is.
            low, high = FREEZE_SECONDS
            time.sleep(self._pace * (low + (high - low) * self._random.random() ** 3))
            self._servers.thaw(node)

    def restart_in_turn(self) -> None:
        with self._fault("rolling restart", "SIGTERM of one node after the other", paused=NODES):
            for id in self._random.sample(NODES, len(NODES)):
                self._wait_until_whole()
                status = self._servers.terminate(id)
                if status != 0:
                    raise AssertionError(f"node {id} ended with status {status} after SIGTERM")
                self._servers.start(id)
            self._wait_until_whole()

    # Links.

    def cut(self) -> None:
        a, b = self._pair()
        with self._fault("cut", f"cut between node {a} and node {b}"):
            self._network.cut(a, b)
            self._rest(CUT_SECONDS)
            self._recover()

    def cut_one_way(self) -> None:
        a, b = self._pair()
        with self._fault("cut one way", f"cut from node {a} to node {b}"):
            self._network.cut(a, b, one_way=True)
            self._rest(CUT_SECONDS)
            self._recover()

    def isolate(self) -> None:
        node = self._victim()
        with self._fault("isolate", f"node {node} cut off from all others"):
            self._network.isolate(node)
            self._rest(CUT_SECONDS)
            self._recover()

    def cut_clients(self) -> None:
        node = self._victim()
        ways = self._random.choice((("forward",), ("backward",), ("forward", "backward")))
        with self._fault("cut clients", f"clients cut off from node {node}, {' and '.join(ways)}", paused=[node]):
            self._network.cut_clients(node, ways)
            self._rest(CUT_SECONDS)
            self._recover()

    def delay(self) -> None:
        a, b = self._pair()
        ms = self._random.randint(*DELAY_MS)
        of_clients = self._random.random() < CLIENTS_SHARE
        who = f"between clients and node {a}" if of_clients else f"from node {a} to node {b}"
        with self._fault("delay", f"{ms} ms {who}"):
            if of_clients:
                self._network.delay_clients(a, ms)
            else:
                self._network.delay(a, b, ms)
            self._rest(CUT_SECONDS)
            self._recover()

    def reset(self) -> None:
        names = self._random.sample(self._network.names(), self._random.randint(1, 4))
        with self._fault("reset", f"reset of the connections {', '.join(names)}"):
            for name in names:
                self._network.reset(name)

    # Disks.

    def fill_disk(self) -> None:
        """The log of the topic cannot grow, or no file at all can, the state of votes included."""
        node = self._victim()
        room = self._random.randint(0, DISK_ROOM_BYTES_MAX)
        limit = self._random.choice((0, self._servers.largest_file_bytes(node) + room))
        text = f"no file of node {node} may grow" + (f" beyond {limit} bytes" if limit else "")
        with self._fault("disk full", text):
            self._servers.fill_disk(node, limit)
            self._rest(FULL_SECONDS)
            self._servers.free_disk(node)

    def wipe(self) -> None:
        """The data of one node is lost. It never votes again, so this is for the end of a run."""
        node = self._victim()
        with self._fault("wipe", f"data of node {node} lost", paused=[node]):
            self._servers.kill(node)
            self._servers.wipe(node)
            self._servers.start(node)
            self._history.wait_for_reads(WIPED_READS, [node], timeout=WHOLE_SECONDS)

    # Inside.

    @contextmanager
    def _fault(self, kind: str, text: str, *, paused: Iterable[int] = ()) -> Iterator[None]:
        self.counts[kind] += 1
        with self._history.fault(text, paused=paused):
            yield

    def _recover(self) -> None:
        """Links are well again; now and then the connections were given up meanwhile."""
        if self._random.random() < 0.5:
            for name in self._network.names():
                self._network.reset(name)
        self._network.recover()

    def _victim(self) -> int:
        leader = self._servers.leader(self._topic)
        return leader if leader > 0 and self._random.random() < LEADER_SHARE else self._random.choice(NODES)

    def _pair(self) -> tuple[int, int]:
        one = self._victim()
        other = self._random.choice([id for id in NODES if id != one])
        return (one, other) if self._random.random() < 0.5 else (other, one)

    def _rest(self, seconds: tuple[float, float]) -> None:
        time.sleep(self._pace * self._random.uniform(*seconds))

    def _wait_until_whole(self) -> None:
        self._servers.wait_until_whole(self._topic, WHOLE_SECONDS)

    def _wait_for_a_write(self) -> None:
        try:
            self._history.wait_for_writes(1, timeout=WHOLE_SECONDS)
        except ClusterTimeoutError as error:
            raise AssertionError(f"nothing was acknowledged {WHOLE_SECONDS} s after the leader's death") from error


KINDS: dict[Callable[[Faults], None], int] = {
    Faults.kill_leader: 6,
    Faults.kill_some: 3,
    Faults.kill_all: 1,
    Faults.freeze: 3,
    Faults.restart_in_turn: 1,
    Faults.cut: 3,
    Faults.cut_one_way: 3,
    Faults.isolate: 3,
    Faults.cut_clients: 2,
    Faults.delay: 2,
    Faults.reset: 2,
    Faults.fill_disk: 2,
}
