"""The wire formats of a stream: native, OpenAI's two, plain text, and the AI SDK's. No I/O.

May import http only.
"""
