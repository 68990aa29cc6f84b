"""Ring 2: what clients and people see: the API, the attach stream and the dashboard. Stateless."""
