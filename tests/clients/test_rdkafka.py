"""rdkafka, librdkafka for Rust."""

from __future__ import annotations

import pytest

from .builds import rust
from .scenarios import Administers, Copies, Groups, Racks, Transactions, Writes

pytestmark = pytest.mark.timeout(900)  # the first test may make the program


class TestRdkafka(Writes, Racks, Groups, Transactions, Copies, Administers):
    name, version = "rdkafka", "0.39.0"
    recipe = rust("with_rdkafka")
