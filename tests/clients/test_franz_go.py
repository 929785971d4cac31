"""franz-go, a client in Go, whose groups speak KIP-848 where the broker does, with share groups."""

from __future__ import annotations

import pytest

from .builds import go
from .scenarios import Administers, Copies, Groups, Racks, Shares, Transactions, Writes

pytestmark = pytest.mark.timeout(900)  # the first test may make the program


class TestFranzGo(Writes, Racks, Groups, Transactions, Copies, Administers, Shares):
    name, version = "franz-go", "1.22.2"
    recipe = go("franz")
