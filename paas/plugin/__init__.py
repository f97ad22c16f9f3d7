"""Hook specifications, plugin manager and the service engine."""
