"""confluent-kafka with the groups of KIP-848; what does not depend on groups is in the file of the classic ones."""

from __future__ import annotations

from .builds import python
from .scenarios import QUICK_HEARTBEATS, Copies, Groups, Shares


@QUICK_HEARTBEATS
class TestConfluentConsumerProtocol(Groups, Copies, Shares):
    name, version = "confluent-kafka, KIP-848", "2.16.1"
    recipe = python("with_confluent.py", GROUP_PROTOCOL="consumer")
