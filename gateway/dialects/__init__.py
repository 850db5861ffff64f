"""The wire formats of a stream: native, OpenAI, plain text, and the AI SDK's. No I/O.

May import http only.
"""
