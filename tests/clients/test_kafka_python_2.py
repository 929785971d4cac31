"""kafka-python 2.2, in a folder of its own: one environment holds one version."""

from __future__ import annotations

from .builds import old_kafka_python
from .scenarios import Pinned, Writes


class TestKafkaPython2(Writes, Pinned):
    recipe = old_kafka_python("2.2.21")
