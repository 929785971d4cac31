"""rdkafka, librdkafka for Rust."""

from __future__ import annotations

import pytest

from .builds import rust
from .scenarios import Racks, Writes

pytestmark = pytest.mark.timeout(900)  # the first test may make the program


class TestRdkafka(Writes, Racks):
    recipe = rust("with_rdkafka")
