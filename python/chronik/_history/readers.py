"""Clients that read: at the end, where lies show, and from the start, where losses do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from .._kafka import Connection, FetchResult
from ..errors import AddressError, ClusterTimeoutError
from .recording import PAUSE_SECONDS, READ_SECONDS, Client, Shared, Target
from .wrapped import as_text

LATEST, EARLIEST = -1, -2
PROBE_BYTES = 4096
SCAN_BYTES = 1 << 16
FINAL_BYTES = 1 << 20
ISOLATIONS = ("read_uncommitted", "read_committed")
TAIL_WAITS_MS = (0, 20, 300)
READ_AGAIN_SECONDS = 60.0


class Reader(Client):
    """Reads at one address, whoever leads, and goes on there when the node is cut off from all others."""

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
        self._fetch(partition, max(0, self.shared.end(partition) - 1), 0, PROBE_BYTES)

    def _at_the_end(self, partition: int) -> None:
        self._fetch(partition, self.shared.end(partition), self.random.choice(TAIL_WAITS_MS), PROBE_BYTES)

    def _go_on(self, partition: int) -> None:
        """Reads on from where it was, as a consumer does."""
        position = self._positions[partition]
        if position < 0 or self.random.random() < 0.02:
            position = max(0, self.shared.end(partition) - self.random.randint(0, 200))
            assign(self.shared, self.client, partition, position)
        self._positions[partition] = self._fetch(partition, position, 0, SCAN_BYTES, consumer=self.client)

    def _fetch(self, partition: int, offset: int, wait_ms: int, max_bytes: int, consumer: str | None = None) -> int:
        isolation = 0 if consumer else self.random.randint(0, 1)
        connection = self.connection(self._target)
        answer, position = fetch(
            self.shared,
            connection,
            self._target,
            consumer or f"{self.client}-probe",
            partition,
            offset,
            wait_ms=wait_ms,
            isolation=isolation,
            max_bytes=max_bytes,
        )
        self._after(answer.error_code)
        return position

    def _list(self, partition: int) -> None:
        timestamp = EARLIEST if self.random.random() < 0.1 else LATEST
        isolation = self.random.randint(0, 1)
        connection = self.connection(self._target)
        operation = self.shared.history.begin(
            "list",
            client=f"{self.client}-probe",
            key=self.shared.key(partition),
            node=self._target.node,
            args={"timestamp": timestamp, "isolation": ISOLATIONS[isolation]},
        )
        answer = connection.list_offsets(self.shared.topic, timestamp, partition=partition, isolation=isolation)
        if answer.error_code == 0:
            operation.ok({"offset": answer.offset})
            self.shared.prove_end(partition, answer.offset)
        else:
            operation.fail(answer.error_code)
        self._after(answer.error_code)

    def _after(self, error_code: int) -> None:
        self.shared.count(f"{'refusals' if error_code else 'reads'} at {self._target.node}")
        if error_code:
            self.pause()


def assign(shared: Shared, client: str, partition: int, position: int) -> None:
    """Notes that a client reads a partition from this position on."""
    operation = shared.history.begin("assign", client=client, key=shared.key(partition), args={"position": position})
    operation.ok()


def fetch(
    shared: Shared,
    connection: Connection,
    target: Target,
    client: str,
    partition: int,
    offset: int,
    *,
    wait_ms: int,
    isolation: int,
    max_bytes: int,
) -> tuple[FetchResult, int]:
    """One Fetch with its record: the answer, and the position behind it."""
    operation = shared.history.begin(
        "fetch",
        client=client,
        key=shared.key(partition),
        node=target.node,
        args={"offset": offset, "isolation": ISOLATIONS[isolation], "max_wait_ms": wait_ms},
    )
    answer = connection.fetch(
        shared.topic, offset, partition=partition, max_wait_ms=wait_ms, isolation=isolation, max_bytes=max_bytes
    )
    operation.answered()
    records = [(record.offset, as_text(record.value)) for record in answer.records if record.offset >= offset]
    position = records[-1][0] + 1 if records else offset
    result: dict[str, Any] = {
        "hw": answer.high_watermark,
        "lso": answer.last_stable_offset,
        "log_start": answer.log_start_offset,
        "records": records,
        "next": position,
    }
    if answer.preferred_read_replica >= 0:
        result["preferred"] = answer.preferred_read_replica
    if answer.error_code == 0:
        operation.ok(result)
        shared.prove_end(partition, answer.high_watermark)
    else:
        operation.fail(answer.error_code, result)
    return answer, position


def read_everything(shared: Shared, targets: Sequence[Target]) -> None:
    """The last phase: new clients read every partition at every node, up to the largest end anybody was told of."""
    shared.history.begin("phase", client="final", args={"name": "final"}).ok()
    deadline = time.monotonic() + READ_AGAIN_SECONDS
    for target in targets:
        for partition in shared.partitions:
            _read_one(shared, target, partition, deadline)


def _read_one(shared: Shared, target: Target, partition: int, deadline: float) -> None:
    client = f"final-{target.node}-{partition}"
    position, end = 0, shared.end(partition)
    assign(shared, client, partition, position)
    while position < end:
        try:
            with Connection(target.address, timeout=READ_SECONDS, client_id=client) as connection:
                while position < end and time.monotonic() < deadline:
                    answer, position = fetch(
                        shared,
                        connection,
                        target,
                        client,
                        partition,
                        position,
                        wait_ms=500,
                        isolation=0,
                        max_bytes=FINAL_BYTES,
                    )
                    if answer.error_code:
                        time.sleep(PAUSE_SECONDS)
        except (AddressError, ClusterTimeoutError):
            time.sleep(PAUSE_SECONDS)
        if time.monotonic() >= deadline and position < end:
            raise ClusterTimeoutError(
                f"node {target.node} shows {shared.key(partition)} up to {position} only, {READ_AGAIN_SECONDS} s "
                f"after all faults ended; the end {end} was proved before"
            )
