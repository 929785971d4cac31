"""confluent-kafka."""

from __future__ import annotations

from .builds import python
from .scenarios import Racks, Writes


class TestConfluentClassic(Writes, Racks):
    recipe = python("with_confluent.py")
