"""Benchmarks of Manycast and of other servers. The product does not import this package. See README.md."""
