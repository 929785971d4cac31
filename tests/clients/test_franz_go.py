"""franz-go, a client in Go."""

from __future__ import annotations

import pytest

from .builds import go
from .scenarios import Racks, Writes

pytestmark = pytest.mark.timeout(900)  # the first test may make the program


class TestFranzGo(Writes, Racks):
    recipe = go("franz")
