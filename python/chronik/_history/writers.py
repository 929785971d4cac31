"""Clients that write: an idempotent producer with several requests in flight, and a plain one."""

from __future__ import annotations

from .._kafka import ProducerIdentity, encode_batch
from ..errors import AddressError, ClusterTimeoutError
from .connections import ACKS_ALL, SENT_AND_UNKNOWN, RecordedConnection
from .events import Operation
from .recording import WRITE_SECONDS, Client, Shared, Target

REQUEST_TIMEOUT_MS = 1000
IN_FLIGHT_MAX = 5
"""As many unanswered requests as an idempotent producer may have."""
VALUES_MAX = 3
ACKS_LEADER = 1
LEADER_ACKS_SHARE = 0.05
NO_IDENTITY = ProducerIdentity(0, -1, -1)
OUT_OF_ORDER_SEQUENCE = 45
NOT_NOW = {3, 5, 6, 19, 56} | SENT_AND_UNKNOWN
"""Codes after which the same batch is sent again."""


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

    def acknowledged(self, partition: int, end: int) -> None:
        """A send succeeded, and everything below this end is known to be there."""
        self.shared.prove_end(partition, end)
        self.shared.count("writes")

    def refused(self, partition: int) -> None:
        """A send was refused: the leader may be elsewhere."""
        self.shared.count("writes refused")
        self.look_again(partition)
        self.pause()


class PlainWriter(Writer):
    """A producer without idempotence: it never sends a value twice, so an answer that fails to come stays unknown."""

    def step(self) -> None:
        """One send."""
        partition = self.random.choice(self.shared.partitions)
        acks = ACKS_LEADER if self.random.random() < LEADER_ACKS_SHARE else ACKS_ALL
        values = [value.encode() for value in self.values()]
        target = self.leader(partition)
        connection = RecordedConnection(self.connection(target), self.shared.history, self.client, target.node)
        try:
            answer = connection.produce(
                self.shared.topic, values, partition=partition, acks=acks, timeout_ms=REQUEST_TIMEOUT_MS
            )
        except (AddressError, ClusterTimeoutError):
            self.look_again(partition)
            raise
        if answer.error_code == 0:
            self.acknowledged(partition, answer.base_offset + len(values) if acks == ACKS_ALL else 0)
        else:
            self.refused(partition)


class Batch:
    """A batch of an idempotent producer, from its first sending to its acknowledgement: one send in the record."""

    def __init__(self, values: list[str], sequence: int, operation: Operation) -> None:
        """A batch that is about to be sent."""
        self.values = values
        self.sequence = sequence
        self.is_settled = False
        self._operation = operation

    def settle(self, result: dict[str, int]) -> None:
        """It was acknowledged."""
        self.is_settled = True
        self._operation.ok(result)

    def give_up(self) -> None:
        """Nobody asks for it any more."""
        if not self.is_settled:
            self._operation.info()


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
        batches = self._new_batches(partition)
        try:
            while batches and not self.shared.given_up.is_set():
                self._try_to_send(partition, batches)
                batches = [batch for batch in batches if not batch.is_settled]
        finally:
            for batch in batches:
                batch.give_up()

    def _try_to_send(self, partition: int, batches: list[Batch]) -> None:
        try:
            self._send(partition, batches)
        except (AddressError, ClusterTimeoutError):
            self.look_again(partition)
            self.pause()

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

    def _new_batches(self, partition: int) -> list[Batch]:
        batches = []
        for _ in range(self.random.randint(1, IN_FLIGHT_MAX)):
            values, sequence = self.values(), self._sequences[partition]
            self._sequences[partition] += len(values)
            identity = self._identity
            producer = {"id": identity.producer_id, "epoch": identity.producer_epoch, "sequence": sequence}
            operation = self.shared.history.begin(
                "send",
                client=self.client,
                key=f"{self.shared.topic}/{partition}",
                args={"values": values, "acks": ACKS_ALL, "producer": producer},
            )
            batches.append(Batch(values, sequence, operation))
        return batches

    def _send(self, partition: int, batches: list[Batch]) -> None:
        """Sends all batches at once, and settles those that are acknowledged."""
        connection = self.connection(self.leader(partition))
        sent = [
            connection.start_produce(
                self.shared.topic, self._encode(batch), partition=partition, timeout_ms=REQUEST_TIMEOUT_MS
            )
            for batch in batches
        ]
        is_first = True
        for batch, correlation in zip(batches, sent, strict=True):
            answer = connection.finish_produce(correlation)
            if answer.error_code == 0:
                batch.settle({"offset": answer.base_offset})
                self.acknowledged(partition, answer.base_offset + len(batch.values))
                continue
            # Behind a batch that was refused the next one is out of order; the first one never is.
            if answer.error_code not in NOT_NOW and (is_first or answer.error_code != OUT_OF_ORDER_SEQUENCE):
                raise IdempotenceBrokenError(self.client, batch.sequence, answer.error_code)
            is_first = False
        if not is_first:
            self.refused(partition)

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
