"""The application, in rings: wire knows nobody; state knows wire; web, worker, cli and shim know
what they need of those two, and never each other. `tests/test_architecture.py` holds the rule."""
