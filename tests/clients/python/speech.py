"""How a program says what happened, and when it is told to end."""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

MEMBER_POLL_MS = 50
# Members learn of a rebalance by their heartbeat, which by default they send every three seconds.
HEARTBEAT_MS = 200


def say(event: str, **fields: Any) -> None:
    """One line of JSON."""
    print(json.dumps({"event": event, **fields}), flush=True)


def say_record(record: Any) -> None:
    """A record of kafka-python or aiokafka."""
    say("record", partition=record.partition, offset=record.offset, value=record.value.decode())


def arguments() -> tuple[str, dict[str, str]]:
    """The job and its named arguments."""
    return sys.argv[1], dict(argument.split("=", 1) for argument in sys.argv[2:])


def input_ended() -> threading.Event:
    """Is set when the standard input ends: a member shall leave."""
    ended = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    return ended


# The transactions of the job `transact`: what its values are called, and whether it is committed.
TRANSACTIONS = [("kept", True), ("dropped", False), ("last", True)]
