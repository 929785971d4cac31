"""Checks what replicas claim while writes go on: stale ends, ends that go back, false empties, wrong values.

A writer thread produces one record after the other and notes what was acknowledged; one reader thread per replica
takes the newest acknowledgement and the largest end anybody has seen *before* it asks, and judges the answer by them.
That decides promises P2 to P5 without a model of the log: an end is a max-register.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

import chronik
from chronik.errors import AddressError, ClusterTimeoutError
from chronik.testing import Connection, FetchResult
from support import RETRIABLE

ANOMALIES_SHOWN = 5


class History:
    """What is known so far, shared by all threads of one check."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.acknowledged: dict[int, bytes] = {}
        self.acknowledged_end = 0
        self.observed_end = 0
        self.anomalies: list[str] = []
        self.answers: Counter[str] = Counter()

    def on_acknowledged(self, offset: int, value: bytes) -> None:
        with self._lock:
            if self.acknowledged.setdefault(offset, value) != value:
                self.anomalies.append(f"offset {offset} was acknowledged for two values")
            self.acknowledged_end = max(self.acknowledged_end, offset + 1)

    def floor(self) -> int:
        """The least end an answer asked for from now on may claim."""
        with self._lock:
            return max(self.acknowledged_end, self.observed_end)

    def on_end(self, who: str, floor: int, end: int) -> None:
        with self._lock:
            if end < floor:
                self.anomalies.append(f"{who} claims the end {end}; {floor} was proved before it was asked")
            self.observed_end = max(self.observed_end, end)

    def on_fetch(self, who: str, floor: int, offset: int, answer: FetchResult) -> None:
        if answer.error_code != 0:
            if answer.error_code not in RETRIABLE:
                self.on_anomaly(f"{who} answers {answer.error_code} to a fetch at {offset}")
            elif answer.high_watermark != -1:
                self.on_anomaly(f"{who} answers {answer.error_code} with watermark {answer.high_watermark}")
            self.count(who, "refused")
            return
        self.on_end(who, floor, answer.high_watermark)
        records = answer.records
        if not records and offset < floor:
            self.on_anomaly(f"{who} answers an empty success at {offset} below the proved end {floor}")
        for record in records:
            expected = self.acknowledged.get(record.offset)
            if expected is not None and expected != record.value:
                self.on_anomaly(f"{who} has {record.value!r} at {record.offset}, acknowledged was {expected!r}")
        self.count(who, "served")

    def on_anomaly(self, text: str) -> None:
        with self._lock:
            self.anomalies.append(text)

    def count(self, who: str, what: str) -> None:
        with self._lock:
            self.answers[f"{who} {what}"] += 1


class Check:
    """Runs a writer and readers against a partition until the block ends; then there must be no anomaly."""

    def __init__(self, cluster: chronik.Cluster, topic: str, *, list_offsets: bool = True, wait_ms: int = 50) -> None:
        self.cluster = cluster
        self.topic = topic
        self.history = History()
        self._list_offsets = list_offsets
        self._wait_ms = wait_ms
        self._ended = threading.Event()
        workers: list[Callable[[], None]] = [self._write]
        workers += [lambda node=node: self._read(node) for node in cluster.nodes]  # type: ignore[misc]
        self._threads = [threading.Thread(target=self._guard, args=(work,), daemon=True) for work in workers]

    def __enter__(self) -> Check:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self._ended.set()
        deadline = time.monotonic() + 30
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if kind is None:
            assert not any(thread.is_alive() for thread in self._threads), "a request had no answer in 30 s"
            assert not self.history.anomalies, "; ".join(self.history.anomalies[:ANOMALIES_SHOWN])

    def served(self, node: chronik.Node) -> int:
        return self.history.answers[f"node {node.id} served"]

    def refused(self, node: chronik.Node) -> int:
        return self.history.answers[f"node {node.id} refused"]

    def wait_until_served(self, nodes: list[chronik.Node], more: int, timeout: float = 30.0) -> None:
        """Every node has answered that many more reads."""
        goals = [(node, self.served(node) + more) for node in nodes]
        self.cluster.wait_for(lambda: all(self.served(node) >= goal for node, goal in goals), timeout)

    def wait_until_acknowledged(self, more: int, timeout: float = 30.0) -> None:
        """That many more writes were acknowledged."""
        goal = len(self.history.acknowledged) + more
        self.cluster.wait_for(lambda: len(self.history.acknowledged) >= goal, timeout)

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # the test must see it: a dead thread proves nothing
            self.history.on_anomaly(f"checker died: {error!r}")

    def _write(self) -> None:
        number = 0
        while not self._ended.is_set():
            try:
                leader = self.cluster.leader(self.topic)
                with Connection(leader.bootstrap_servers, timeout=2.0) as connection:
                    while not self._ended.is_set():
                        number += 1
                        value = b"value-%d" % number
                        answer = connection.produce(self.topic, [value], timeout_ms=1000)
                        if answer.error_code != 0:
                            self.history.count("writer", "refused")
                            break
                        self.history.on_acknowledged(answer.base_offset, value)
            except (chronik.ChronikError, AddressError):
                self.history.count("writer", "disturbed")
                self._ended.wait(0.005)

    def _read(self, node: chronik.Node) -> None:
        who = f"node {node.id}"
        while not self._ended.is_set():
            try:
                with Connection(node.bootstrap_servers, timeout=10.0) as connection:
                    while not self._ended.is_set():
                        self._read_once(connection, who)
            except (AddressError, ClusterTimeoutError):
                self.history.count(who, "disturbed")
                self._ended.wait(0.005)

    def _read_once(self, connection: Connection, who: str) -> None:
        floor = self.history.floor()
        offset = max(0, floor - 1)
        answer = connection.fetch(self.topic, offset, max_wait_ms=0, max_bytes=4096)
        self.history.on_fetch(who, floor, offset, answer)
        floor = self.history.floor()
        at_end = connection.fetch(self.topic, floor, max_wait_ms=self._wait_ms, max_bytes=4096)
        if at_end.error_code == 1:
            self.history.on_anomaly(f"{who} says {floor} is out of range, the end was proved before it was asked")
        else:
            self.history.on_fetch(who, floor, floor, at_end)
        if self._list_offsets:
            floor = self.history.floor()
            listed = connection.list_offsets(self.topic)
            if listed.error_code == 0:
                self.history.on_end(f"{who} (ListOffsets)", floor, listed.offset)
            elif listed.error_code not in RETRIABLE:
                self.history.on_anomaly(f"{who} answers {listed.error_code} to ListOffsets")
