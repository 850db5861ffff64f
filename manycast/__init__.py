"""The command, and the Python client it is built on. It is no part of what a deployment runs."""
