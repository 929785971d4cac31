"""Clients that read: at the end, where lies show, and from the start, where losses do."""

from __future__ import annotations

import time
from collections.abc import Sequence

from .._kafka import Connection, FetchResult
from ..errors import AddressError, ClusterTimeoutError
from .connections import RecordedConnection, position_after
from .recording import PAUSE_SECONDS, READ_SECONDS, Client, Shared, Target

LATEST, EARLIEST = -1, -2
PROBE_BYTES = 4096
SCAN_BYTES = 1 << 16
FINAL_BYTES = 1 << 20
TAIL_WAITS_MS = (0, 20, 300)
BEHIND_MAX = 200
READ_AGAIN_SECONDS = 60.0
FINAL_WAIT_MS = 500


class Reader(Client):
    """Reads at one address, whoever leads, and goes on there when the node is cut off from all others.

    In the record it is two clients: a consumer, which goes on from where it was, and a probe, which does not.
    """

    def __init__(self, shared: Shared, target: Target, seed: int) -> None:
        """A reader that is not started yet."""
        super().__init__(shared, f"reader-{target.node}{'-pinned' if target.pinned else ''}", seed)
        self._target = target
        self._positions = dict.fromkeys(shared.partitions, -1)

    def step(self) -> None:
        """One read of some kind."""
        partition = self.random.choice(self.shared.partitions)
        try:
            self.random.choice((self._before_the_end, self._at_the_end, self._list, self._go_on))(partition)
        except (AddressError, ClusterTimeoutError):
            self.forget(self._target)
            raise

    def _before_the_end(self, partition: int) -> None:
        self._probe(partition, max(0, self.shared.end(partition) - 1), 0)

    def _at_the_end(self, partition: int) -> None:
        self._probe(partition, self.shared.end(partition), self.random.choice(TAIL_WAITS_MS))

    def _probe(self, partition: int, offset: int, wait_ms: int) -> None:
        answer = self._recorded("-probe").fetch(
            self.shared.topic,
            offset,
            partition=partition,
            max_wait_ms=wait_ms,
            isolation=self.random.randint(0, 1),
            max_bytes=PROBE_BYTES,
        )
        self._after_fetch(partition, answer)

    def _list(self, partition: int) -> None:
        timestamp = EARLIEST if self.random.random() < 0.1 else LATEST
        answer = self._recorded("-probe").list_offsets(
            self.shared.topic, timestamp, partition=partition, isolation=self.random.randint(0, 1)
        )
        if answer.error_code == 0:
            self.shared.prove_end(partition, answer.offset)
        self._after(answer.error_code)

    def _go_on(self, partition: int) -> None:
        """Reads on from where it was, as a consumer does."""
        connection = self._recorded("")
        position = self._positions[partition]
        if position < 0 or self.random.random() < 0.02:
            position = max(0, self.shared.end(partition) - self.random.randint(0, BEHIND_MAX))
            connection.assign(self.shared.topic, position, partition=partition)
            self._positions[partition] = position
        answer = connection.fetch(self.shared.topic, position, partition=partition, max_bytes=SCAN_BYTES)
        self._positions[partition] = position_after(answer, position)
        self._after_fetch(partition, answer)

    def _recorded(self, suffix: str) -> RecordedConnection:
        connection = self.connection(self._target)
        return RecordedConnection(connection, self.shared.history, self.client + suffix, self._target.node)

    def _after_fetch(self, partition: int, answer: FetchResult) -> None:
        if answer.error_code == 0:
            self.shared.prove_end(partition, answer.high_watermark)
        self._after(answer.error_code)

    def _after(self, error_code: int) -> None:
        self.shared.count(f"{'refusals' if error_code else 'reads'} at {self._target.node}")
        if error_code:
            self.pause()


def read_everything(shared: Shared, targets: Sequence[Target]) -> None:
    """The last phase: new clients read every partition at every node, up to the largest end anybody was told of."""
    shared.history.begin("phase", client="final", args={"name": "final"}).ok()
    deadline = time.monotonic() + READ_AGAIN_SECONDS
    for target in targets:
        for partition in shared.partitions:
            _read_to_the_end(shared, target, partition, deadline)


def _read_to_the_end(shared: Shared, target: Target, partition: int, deadline: float) -> None:
    client = f"final-{target.node}-{partition}"
    position, end = 0, shared.end(partition)
    while position < end:
        if time.monotonic() >= deadline:
            raise ClusterTimeoutError(
                f"node {target.node} shows {shared.topic}/{partition} up to {position} only, {READ_AGAIN_SECONDS} s "
                f"after all faults ended; the end {end} was proved before"
            )
        try:
            with Connection(target.address, timeout=READ_SECONDS, client_id=client) as plain:
                connection = RecordedConnection(plain, shared.history, client, target.node)
                connection.assign(shared.topic, position, partition=partition)
                position = _read_on(shared, connection, partition, position, end)
        except (AddressError, ClusterTimeoutError):
            time.sleep(PAUSE_SECONDS)


def _read_on(shared: Shared, connection: RecordedConnection, partition: int, position: int, end: int) -> int:
    """Reads until the end or the first refusal; the position reached."""
    while position < end:
        answer = connection.fetch(
            shared.topic, position, partition=partition, max_wait_ms=FINAL_WAIT_MS, max_bytes=FINAL_BYTES
        )
        if answer.error_code:
            time.sleep(PAUSE_SECONDS)
            break
        position = position_after(answer, position)
    return position
