"""Runs: begin, submit, cancel, wait for, list, and fold a finished log into a completion.

May import fanout, dialects, access, server and http.
"""
