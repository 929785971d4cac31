"""Histories: what clients asked and were told, and the verdict of the checker on it.

- `events`: `History`, the record itself, and `Verdict`;
- `recording`: clients of its own that fill a history in the background: `writers`, `readers`;
- `of_cluster`: a recording at a `chronik.Cluster`, which heals it before the last reads;
- `wrapped`: kafka-python's producers and consumers, recorded.

The rules are not here: the checker is `rust/chronik-history`, the same for the simulator and for real processes.
"""

from .events import History, Operation, Verdict
from .of_cluster import ClusterRecording
from .recording import Recording, Target

__all__ = ["ClusterRecording", "History", "Operation", "Recording", "Target", "Verdict"]
