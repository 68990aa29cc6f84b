"""Ring 0: what crosses the network. Pure and standard library only, because the shim imports it."""
