"""aiokafka."""

from __future__ import annotations

from .builds import python
from .scenarios import Administers, Copies, Groups, Racks, Transactions, Writes


class TestAiokafka(Writes, Racks, Groups, Transactions, Copies, Administers):
    name, version = "aiokafka", "0.14.0"
    recipe = python("with_aiokafka.py")
