"""Authentication and authorisation: who may start a run, watch it, and stop it.

May import http only. docs/protocol.md, section 11, specifies it.
"""
