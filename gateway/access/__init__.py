"""Who may start a run, watch it, and stop it. docs/protocol.md, section 11, is the source."""
