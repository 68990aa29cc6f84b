"""The scoreboard: faults of every kind on real processes, and what they cost. `python -m tests.chaos --list`.

row, table        what a line says; which lines there are and what finds them
scene, gate       the stage with its processes, and the network between a worker and Redis
requeue ...       one module for each kind of fault
plan -> history   a seeded run under many faults at once (plan, load, nemesis, watch), written down ...
      -> checker  ... and judged afterwards from what was written down alone
"""
