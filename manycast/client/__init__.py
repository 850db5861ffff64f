"""The Python client: submit a run, watch it from anywhere, stop it. It resumes by itself after a lost connection."""

from manycast.client.client import STALL_LIMIT_S, Client, watch

__all__ = ["STALL_LIMIT_S", "Client", "watch"]
