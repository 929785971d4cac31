"""The Java client, with classic groups, with those of KIP-848 and with share groups."""

from __future__ import annotations

import pytest

from .builds import java
from .scenarios import QUICK_HEARTBEATS, Administers, Copies, Groups, Racks, Shares, Transactions, Writes

pytestmark = pytest.mark.timeout(900)  # the first test may make the program


class TestJava(Writes, Racks, Groups, Transactions, Copies, Administers):
    name, version = "Java kafka-clients", "4.3.1"
    recipe = java()


@QUICK_HEARTBEATS
class TestJavaConsumerProtocol(Groups, Copies, Shares):
    name, version = "Java kafka-clients, KIP-848", "4.3.1"
    recipe = java("consumer")
