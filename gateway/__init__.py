"""Relays streams to viewers: HTTP in front, one Redis subscription per watched stream behind. Keeps no state."""
