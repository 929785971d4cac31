"""Runs a client's program and reads what it says.

A program is called `PROGRAM JOB name=value ...` and writes one JSON object per line to its standard output. Every
object has the field "event". A program ends with status 0 when its job is done; what it writes to the standard error
appears when it fails. No program decides whether what it saw is right. The jobs, beside `bootstrap`:

produce topic partitions values
    Value i goes to partition i modulo partitions. Says `produced` (partition, offset) for each, in order.
read topic count [rack] [isolation]
    Reads partition 0 from its start without a group. Says `record` (partition, offset, value).
member topic group
    Says `assigned` (partitions) whenever that changed, `record`, and `committed` once what was polled is committed.
    Ends when its standard input does.
share topic group [release]
    A member of a share group. Says `record` (partition, offset, value, deliveries, accepted), and `committed` once what
    was said of the polled records counts. Accepts all but the values that end as told, which it gives back the first
    time. Says nothing of records whose partition went to another while it had them. Ends when its standard input does.
transact topic id
    Three transactions of two records each: kept, dropped (aborted), last. Says `ended` (how) after each.
copy topic target group id count end
    Transactions that hold records of the topic, written to the target, and the group's offsets; they all end in a
    commit or all in an abort. Says `copied` (count) after each.
admin topic
    Says what was done to the topic, see `scenarios.Administers`.
"""

from __future__ import annotations

import json
import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

Event = dict[str, Any]

JOB_SECONDS = 60.0


class Program:
    """One running program; stopped at the end of the block."""

    def __init__(self, command: list[str], job: str, **arguments: object) -> None:
        self._name = f"{command[-1]} {job}"
        self._said: queue.Queue[Event] = queue.Queue()
        self.events: list[Event] = []
        self._errors: str | None = None
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the program)
        self._process = subprocess.Popen(
            [*command, job, *(f"{name}={value}" for name, value in arguments.items())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._listener.join()
        self._errors = self._read_errors()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            if stream is not None:
                stream.close()

    def wait_for(self, holds: Callable[[], bool], seconds: float, what: str, *others: Program) -> None:
        """Listens to this program and others until something holds of what they said."""
        deadline = time.monotonic() + seconds
        programs = [self, *others]
        while True:
            for program in programs:
                program._take()
            if holds():
                return
            if time.monotonic() > deadline:
                told = "\n".join(program._story() for program in programs)
                raise AssertionError(f"waited {seconds:.0f} s for {what}\n{told}")
            time.sleep(0.005)

    def finish(self, seconds: float = JOB_SECONDS) -> list[Event]:
        """Ends the program's input and waits until its job is done; what it said."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._take()
            raise AssertionError(f"not done after {seconds:.0f} s\n{self._story()}") from None
        self._listener.join()
        self._take()
        assert status == 0, f"status {status}\n{self._story()}"
        return self.events

    def named(self, event: str) -> list[Event]:
        """The events of one name, of those taken so far."""
        return [said for said in self.events if said["event"] == event]

    @property
    def partitions(self) -> list[int]:
        """What is assigned to this member now."""
        assigned = self.named("assigned")
        return sorted(assigned[-1]["partitions"]) if assigned else []

    @property
    def values(self) -> list[str]:
        """The values of the records read so far."""
        return [record["value"] for record in self.named("record")]

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                self._said.put(json.loads(line))
            except json.JSONDecodeError:
                self._said.put({"event": "noise", "line": line})

    def _take(self) -> None:
        while not self._said.empty():
            self.events.append(self._said.get())

    def _read_errors(self) -> str:
        self._stderr.seek(0)
        return self._stderr.read().decode(errors="replace")[-4000:]

    def _story(self) -> str:
        errors = self._read_errors() if self._errors is None else self._errors
        return f"{self._name} said {self.events[-40:]}\n{errors}"


def run(command: list[str], job: str, **arguments: object) -> list[Event]:
    """Runs a job to its end; what the program said."""
    with Program(command, job, **arguments) as program:
        return program.finish()
