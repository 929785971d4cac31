"""Chaos on real processes: three servers on files, every link through a proxy, clients that record what they see.

`make chaos` runs it (`python -m chaos` in `tests/`); `test_chaos.py` runs a short slice. The parts:

- `proxy`: a process of its own that carries every byte and can hold, delay or break each direction;
- `network`: the proxies as links between nodes, with the fault verbs of the project;
- `servers`: the processes and what can be done to them;
- `faults`: the faults, and the seeded schedule of them;
- `clients`: kafka-python beside the raw clients of `chronik.testing`;
- `run`: one run from start to verdict; `__main__`: several runs and the limits they must hold.
"""
