"""What programs ask: the signed HTTP API under /v1, and the attach stream."""
