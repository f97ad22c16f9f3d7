"""Migrations of the database in /run: what the kernel holds of the network, by name."""
