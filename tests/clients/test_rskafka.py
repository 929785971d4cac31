"""rskafka, a client in Rust without groups, racks and transactions."""

from __future__ import annotations

import pytest

from .builds import rust
from .scenarios import Administers, Pinned, Writes

pytestmark = pytest.mark.timeout(900)  # the first test may make the program


class TestRskafka(Writes, Pinned, Administers):
    name, version = "rskafka", "0.6.0"
    recipe = rust("with_rskafka")
    steps = ("create", "list", "delete")
