"""confluent-kafka with classic groups."""

from __future__ import annotations

from .builds import python
from .scenarios import Administers, Copies, Groups, Racks, Transactions, Writes


class TestConfluentClassic(Writes, Racks, Groups, Transactions, Copies, Administers):
    name, version = "confluent-kafka", "2.16.1"
    recipe = python("with_confluent.py")
