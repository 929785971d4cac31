"""aiokafka."""

from __future__ import annotations

from .builds import python
from .scenarios import Racks, Writes


class TestAiokafka(Writes, Racks):
    recipe = python("with_aiokafka.py")
