"""The gateway relays runs to viewers as server-sent events. It keeps no state: any gateway can serve any viewer.

Packages import only packages to their right: routes > runs > fanout > dialects | access | server > http.
"""
