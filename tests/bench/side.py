"""`python -m tests.bench.side MODULE:FUNCTION JSON`: runs one function of a benchmark in this process."""

from __future__ import annotations

import json
import sys
from importlib import import_module

if __name__ == "__main__":
    module, _, name = sys.argv[1].partition(":")
    getattr(import_module(module), name)(**json.loads(sys.argv[2]))
