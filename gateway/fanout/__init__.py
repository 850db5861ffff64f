"""One Redis subscription per stream, relayed to any number of viewers.

May import dialects, access, server and http. Start with `hub`, then `feed`.
"""
