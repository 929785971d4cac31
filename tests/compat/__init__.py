"""`make compat`: every client's scenarios, and the suites that three clients bring themselves, against chronik.

`suites` runs foreign suites against a server process of ours, `scenarios` our own, `exceptions` lists what is left out
and why, `report` is the table. Foreign sources are unpacked under `target/compat`; none of them is kept here.
"""
