"""paasd: master, supervisor, socket protocol, and the thin clients."""
