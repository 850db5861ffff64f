"""HTTP routes, one module for each subject.

May import every other package of the gateway; no package imports this one. docs/protocol.md specifies the calls.
"""
