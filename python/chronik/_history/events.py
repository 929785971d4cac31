"""`History`: events in the order in which they ended, and the door to the checker."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .. import _chronik
from ..errors import HistoryError

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


@dataclass(frozen=True)
class Verdict:
    """What the checker says of a history; true when it found nothing."""

    events: int
    """How many events were judged."""
    anomalies: Mapping[str, int]
    """How often each broken rule was broken; empty when all is well."""
    text: str
    """The verdict in words: each rule, the events that break it, and what should have been."""

    def __bool__(self) -> bool:
        return not self.anomalies

    def __str__(self) -> str:
        return self.text


class Operation:
    """One request under way. End it with exactly one of ``ok``, ``fail`` and ``info``."""

    __slots__ = ("_event", "_history")

    def __init__(self, history: History, event: dict[str, Any]) -> None:
        """Made by ``History.begin``."""
        self._history = history
        self._event = event

    def answered(self) -> None:
        """The answer is here; what it says follows, once it is decoded."""
        self._event["t_ret_ns"] = time.monotonic_ns()

    def ok(self, result: Mapping[str, Any] | None = None) -> None:
        """It succeeded with this result."""
        self._end("ok", result, None)

    def fail(self, error_code: int, result: Mapping[str, Any] | None = None) -> None:
        """It was refused with a Kafka error code and had no effect."""
        self._end("fail", result, error_code)

    def info(self, error_code: int | None = None) -> None:
        """Nobody knows: no answer, or one that leaves the outcome open."""
        self._end("info", None, error_code)

    def _end(self, status: str, result: Mapping[str, Any] | None, error_code: int | None) -> None:
        event = self._event
        event.setdefault("t_ret_ns", time.monotonic_ns())
        event["result"] = result
        event["err"] = error_code
        event["status"] = status
        self._history._append(event)


class History:
    """What clients asked and were told. For several threads at once.

    Record with ``begin`` and ``fault``, or let ``Cluster.history`` do it; then ``check``. Times are those of this
    machine's monotonic clock, so the events of several processes of one machine may be put together. In one partition
    every value is written once only: that is how a record is known again.
    """

    def __init__(self) -> None:
        """An empty history."""
        self._lock = threading.Lock()
        self._lines: list[str] = []
        self._sends_under_way: dict[int, dict[str, Any]] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def begin(
        self,
        op: str,
        *,
        client: str,
        key: str | None = None,
        node: int | None = None,
        args: Mapping[str, Any] | None = None,
        at_ns: int | None = None,
    ) -> Operation:
        """A client sends a request now; end what is returned when the answer is there.

        ``key`` is ``topic/partition``. Operations, arguments and results are those of the checker, for example ``send``
        with ``{"values": [...], "acks": -1}`` and ``{"offset": 7}``; see ``rust/chronik-history``. ``at_ns`` says that
        it was sent earlier, at a time of ``now``.
        """
        event = {
            "t_inv_ns": self.now() if at_ns is None else at_ns,
            "proc": "",
            "client": client,
            "node": node,
            "op": op,
            "key": key,
            "args": args,
        }
        if op == "send":
            with self._lock:
                self._sends_under_way[id(event)] = event
        return Operation(self, event)

    @staticmethod
    def now() -> int:
        """The time of all events: nanoseconds of this machine's monotonic clock."""
        return time.monotonic_ns()

    def wrap(self, client: Any, *, client_name: str | None = None, node: int | None = None) -> Any:
        """A client that does as before and is recorded: kafka-python's ``KafkaProducer`` and ``KafkaConsumer``, or a
        ``chronik.testing.Connection``, of which ``node`` says whose it is.

        Values must differ within a partition. Without ``client_name`` the name is the client's own ``client_id``.
        """
        from .wrapped import wrap

        return wrap(client, self, client_name, node)

    @contextmanager
    def fault(self, text: str, *, paused: Iterable[int] = ()) -> Iterator[None]:
        """Notes a fault that lasts as long as the block, for whoever reads the verdict.

        Nodes that stand still, or that clients cannot reach, are ``paused``: their answers may be late by that time.
        """
        operation = self.begin("fault", client="faults", args={"text": text, "paused": list(paused)})
        try:
            yield
        finally:
            operation.ok()

    def extend(self, lines: Iterable[str]) -> None:
        """Adds events that were recorded elsewhere, as JSON lines."""
        with self._lock:
            self._lines += [line for line in (line.strip() for line in lines) if line]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the events, one JSON object a line."""
        with open(path, "w", encoding="utf-8") as file:
            file.write(self._text())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> History:
        """Reads what ``save`` wrote."""
        history = cls()
        with open(path, encoding="utf-8") as file:
            history.extend(file)
        return history

    def check(self, *, raise_on_anomaly: bool = True) -> Verdict:
        """Judges the events; HistoryError, an AssertionError, when a rule is broken."""
        events, anomalies, text = _chronik.check_history(self._text().encode())
        verdict = Verdict(events, anomalies, text)
        if raise_on_anomaly and not verdict:
            raise HistoryError(verdict.text, verdict)
        return verdict

    def _text(self) -> str:
        with self._lock:
            lines = list(self._lines)
            # A send without an answer may have left its records: whoever reads them is not to be called a liar.
            under_way = [dict(event) for event in self._sends_under_way.values()]
        lines += [
            _encode(event | {"t_ret_ns": None, "status": "info", "i": number})
            for number, event in enumerate(under_way, start=len(lines))
        ]
        return "".join(line + "\n" for line in lines)

    def _append(self, event: dict[str, Any]) -> None:
        with self._lock:
            self._sends_under_way.pop(id(event), None)
            event["i"] = len(self._lines)
            self._lines.append(_encode(event))
