"""Measures ffgrid on this machine: `make bench`, or `python -m tests.bench [NAME ...]`.

Every figure stands beside a reference that was measured in the same run, by turns with it: what the machine
does without ffgrid. The machine's noise is in both, so that the ratio or the difference says more than the
figure itself.
"""
