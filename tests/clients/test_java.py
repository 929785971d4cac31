"""The Java client, with classic groups and with those of KIP-848."""

from __future__ import annotations

import pytest

from .builds import java
from .scenarios import QUICK_HEARTBEATS, Administers, Copies, Groups, Racks, Transactions, Writes

pytestmark = pytest.mark.timeout(900)  # the first test may make the program


class TestJava(Writes, Racks, Groups, Transactions, Copies, Administers):
    name, version = "Java kafka-clients", "4.3.1"
    recipe = java()


@QUICK_HEARTBEATS
class TestJavaConsumerProtocol(Groups, Copies):
    name, version = "Java kafka-clients, KIP-848", "4.3.1"
    recipe = java("consumer")
