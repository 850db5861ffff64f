"""HTTP routes, one module per family of calls.

May import every other package of the gateway; no package imports this one. docs/protocol.md specifies the calls.
"""
