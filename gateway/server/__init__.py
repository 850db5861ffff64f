"""Extensions of uvicorn: request limits, direct writes to connections, several processes, send timeouts.

May import http only.
"""
