"""kafkajs."""

from __future__ import annotations

import pytest

from .builds import kafkajs
from .scenarios import Administers, Copies, Groups, Racks, Transactions, Writes

pytestmark = pytest.mark.timeout(900)  # the first test may make the program


class TestKafkajs(Writes, Racks, Groups, Transactions, Copies, Administers):
    name, version = "kafkajs", "2.2.4"
    recipe = kafkajs()
