"""A pytest module to copy: faults of every kind, and the checker's verdict on all that clients were told.

Run it with ``pytest examples/test_chaos.py``; the fixtures come with the package. The clients that are judged here are
those of ``cluster.history``; ``history.wrap(client)`` records kafka-python clients of your own beside them.
"""

import random

from chronik import Node


def test_no_promise_breaks_whatever_happens_to_the_leader(chronik_cluster, chronik_topic):
    faults = [Node.crash, Node.freeze, Node.kill, chronik_cluster.isolate]
    chance = random.Random(1)
    with chronik_cluster.history(chronik_topic) as history:
        for _ in range(10):
            chance.choice(faults)(chronik_cluster.leader(chronik_topic))
            history.wait_for_writes(20)
            history.heal()
        chronik_cluster.power_cut()
        history.wait_for_writes(20)
    history.check()
