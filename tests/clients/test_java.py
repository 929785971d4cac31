"""The Java client."""

from __future__ import annotations

import pytest

from .builds import java
from .scenarios import Racks, Writes

pytestmark = pytest.mark.timeout(900)  # the first test may make the program


class TestJava(Writes, Racks):
    recipe = java()
