"""kafka-python 2.2, in a folder of its own: one environment holds one version."""

from __future__ import annotations

from .builds import old_kafka_python
from .scenarios import Administers, Copies, Groups, Pinned, Transactions, Writes


class TestKafkaPython2(Writes, Pinned, Groups, Transactions, Copies, Administers):
    name, version = "kafka-python", "2.2.21"
    recipe = old_kafka_python(version)
