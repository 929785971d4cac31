"""sarama, a client in Go."""

from __future__ import annotations

import pytest

from .builds import go
from .scenarios import Administers, Copies, Groups, Racks, Transactions, Writes

pytestmark = pytest.mark.timeout(900)  # the first test may make the program


class TestSarama(Writes, Racks, Groups, Transactions, Copies, Administers):
    name, version = "sarama", "1.61.1"
    recipe = go("sarama")
