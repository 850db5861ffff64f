"""The `manycast` command, and the Python client that it uses. A deployment does not run this package."""
