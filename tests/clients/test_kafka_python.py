"""kafka-python 3."""

from __future__ import annotations

from .builds import python
from .scenarios import Racks, Writes


class TestKafkaPython(Writes, Racks):
    recipe = python("with_kafka_python.py")
