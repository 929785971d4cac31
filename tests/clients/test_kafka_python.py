"""kafka-python 3."""

from __future__ import annotations

from .builds import python
from .scenarios import Administers, Copies, Groups, Racks, Transactions, Writes


class TestKafkaPython(Writes, Racks, Groups, Transactions, Copies, Administers):
    name, version = "kafka-python", "3.0.12"
    recipe = python("with_kafka_python.py")
