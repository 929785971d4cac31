"""Clients that write: an idempotent producer with several requests in flight, and a plain one."""

from __future__ import annotations

from collections.abc import Sequence

from .._kafka import ProducerIdentity, encode_batch
from ..errors import AddressError, ClusterTimeoutError
from .events import Operation
from .recording import WRITE_SECONDS, Client, Shared, Target

REQUEST_TIMEOUT_MS = 1000
IN_FLIGHT_MAX = 5
"""As many unanswered requests as an idempotent producer may have."""
VALUES_MAX = 3
ACKS_ALL = -1
ACKS_LEADER = 1

NO_IDENTITY = ProducerIdentity(0, -1, -1)
OUT_OF_ORDER_SEQUENCE = 45
SENT_AND_UNKNOWN = {7, 20}
"""The batch was appended and may or may not stay (see the table of produce errors in the checker)."""
NOT_NOW = {3, 5, 6, 19, 56} | SENT_AND_UNKNOWN


class Writer(Client):
    """What both writers share: fresh values, and the way to the leader."""

    request_seconds = WRITE_SECONDS

    def __init__(self, shared: Shared, name: str, seed: int) -> None:
        """A writer that is not started yet."""
        super().__init__(shared, name, seed)
        self._written = 0
        self._leaders: dict[int, Target] = {}

    def values(self) -> list[str]:
        """One to three values that nobody has written yet."""
        count = self.random.randint(1, VALUES_MAX)
        self._written += count
        return [f"{self.client}:{self._written - later}" for later in reversed(range(count))]

    def leader(self, partition: int) -> Target:
        """The leader as some node knows it; any node where none is known."""
        known = self._leaders.get(partition)
        if known is None:
            known = self._ask_for_leader(partition)
            self._leaders[partition] = known
        return known

    def look_again(self, partition: int) -> None:
        """The leader was not where it was thought to be."""
        target = self._leaders.pop(partition, None)
        if target is not None:
            self.forget(target)

    def _ask_for_leader(self, partition: int) -> Target:
        asked = self.random.choice(self.shared.targets)
        try:
            topics = self.connection(asked).metadata([self.shared.topic]).topics
        except (AddressError, ClusterTimeoutError):
            self.forget(asked)
            raise
        leaders = [part.leader for topic in topics for part in topic.partitions if part.index == partition]
        return next((target for target in self.shared.targets if target.node in leaders), asked)

    def begin(self, target: Target, partition: int, values: Sequence[str], **more: object) -> Operation:
        """The record of a send that leaves now."""
        args = {"values": list(values), **more}
        key = self.shared.key(partition)
        return self.shared.history.begin("send", client=self.client, key=key, node=target.node, args=args)

    def acknowledge(self, operation: Operation, partition: int, offset: int, count: int, acks: int = ACKS_ALL) -> None:
        """The send succeeded, its first value at this offset."""
        operation.ok({"offset": offset})
        if acks == ACKS_ALL:
            self.shared.prove_end(partition, offset + count)
        self.shared.count("writes")


class PlainWriter(Writer):
    """A producer without idempotence: it never sends a value twice, so an answer that fails to come stays unknown."""

    def step(self) -> None:
        """One send."""
        partition = self.random.choice(self.shared.partitions)
        acks = ACKS_LEADER if self.random.random() < 0.05 else ACKS_ALL
        values = self.values()
        target = self.leader(partition)
        connection = self.connection(target)
        operation = self.begin(target, partition, values, acks=acks)
        try:
            answer = connection.produce(
                self.shared.topic,
                [value.encode() for value in values],
                partition=partition,
                acks=acks,
                timeout_ms=REQUEST_TIMEOUT_MS,
            )
        except (AddressError, ClusterTimeoutError):
            operation.info()
            self.look_again(partition)
            raise
        if answer.error_code == 0:
            self.acknowledge(operation, partition, answer.base_offset, len(values), acks)
            return
        if answer.error_code in SENT_AND_UNKNOWN:
            operation.info(answer.error_code)
        else:
            operation.fail(answer.error_code)
        self.shared.count("writes refused")
        self.look_again(partition)
        self.pause()


class Batch:
    """A batch of an idempotent producer, from its first sending to its acknowledgement."""

    def __init__(self, values: list[str], sequence: int, operation: Operation) -> None:
        self.values = values
        self.sequence = sequence
        self.operation = operation


class IdempotentWriter(Writer):
    """An idempotent producer: up to five batches under way, each sent again until it is acknowledged."""

    def __init__(self, shared: Shared, name: str, seed: int) -> None:
        """A writer that is not started yet."""
        super().__init__(shared, name, seed)
        self._identity = NO_IDENTITY
        self._sequences = dict.fromkeys(shared.partitions, 0)

    def step(self) -> None:
        """A few batches, sent and sent again until all are acknowledged."""
        if self._identity is NO_IDENTITY:
            self._identify()
            return
        partition = self.random.choice(self.shared.partitions)
        unacknowledged = self._new_batches(self.leader(partition), partition)
        while unacknowledged and not self.shared.given_up.is_set():
            try:
                unacknowledged = self._send(partition, unacknowledged)
            except (AddressError, ClusterTimeoutError):
                self.look_again(partition)
                self.pause()
        for batch in unacknowledged:
            batch.operation.info()

    def _identify(self) -> None:
        target = self.random.choice(self.shared.targets)
        try:
            identity = self.connection(target).init_producer_id()
        except (AddressError, ClusterTimeoutError):
            self.forget(target)
            raise
        if identity.error_code == 0:
            self._identity = identity
        else:
            self.pause()

    def _new_batches(self, target: Target, partition: int) -> list[Batch]:
        batches = []
        for _ in range(self.random.randint(1, IN_FLIGHT_MAX)):
            values, sequence = self.values(), self._sequences[partition]
            self._sequences[partition] += len(values)
            identity = self._identity
            producer = {"id": identity.producer_id, "epoch": identity.producer_epoch, "sequence": sequence}
            operation = self.begin(target, partition, values, acks=ACKS_ALL, producer=producer)
            batches.append(Batch(values, sequence, operation))
        return batches

    def _send(self, partition: int, batches: list[Batch]) -> list[Batch]:
        """Sends all batches at once; returns those that are not acknowledged."""
        target = self.leader(partition)
        connection = self.connection(target)
        sent = [
            connection.start_produce(
                self.shared.topic, self._encode(batch), partition=partition, timeout_ms=REQUEST_TIMEOUT_MS
            )
            for batch in batches
        ]
        left: list[Batch] = []
        for batch, correlation in zip(batches, sent, strict=True):
            answer = connection.finish_produce(correlation)
            if answer.error_code == 0:
                self.acknowledge(batch.operation, partition, answer.base_offset, len(batch.values))
                continue
            # Behind a batch that was refused the next one is out of order; the first one never is.
            if answer.error_code not in NOT_NOW and not (left and answer.error_code == OUT_OF_ORDER_SEQUENCE):
                batch.operation.fail(answer.error_code)
                raise IdempotenceBrokenError(self.client, batch.sequence, answer.error_code)
            left.append(batch)
        if left:
            self.shared.count("writes refused")
            self.look_again(partition)
            self.pause()
        return left

    def _encode(self, batch: Batch) -> bytes:
        identity = self._identity
        return encode_batch(
            [value.encode() for value in batch.values],
            producer_id=identity.producer_id,
            producer_epoch=identity.producer_epoch,
            base_sequence=batch.sequence,
        )


class IdempotenceBrokenError(Exception):
    """A batch whose predecessors are all acknowledged was refused for ever."""

    def __init__(self, client: str, sequence: int, code: int) -> None:
        """Who was refused, and how."""
        super().__init__(f"{client}: the batch with sequence {sequence} was refused with error {code}")
