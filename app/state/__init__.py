"""Ring 1: what lives in Redis. The only code that touches Redis."""
