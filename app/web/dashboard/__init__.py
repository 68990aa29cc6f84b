"""What people see: pages, who may open them, and what keeps them current."""
