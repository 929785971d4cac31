"""Every client a chronik user may have, each through the same scenarios against three nodes.

A client is a small program in its own language (folders beside this file) that does one job and says what happened in
lines of JSON. `program` holds what the jobs are, `scenarios` what must have happened, `builds` how a program is made;
the test files say which scenarios a client can play.
"""
