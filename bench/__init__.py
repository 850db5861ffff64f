"""Measures what Manycast costs, beside what it is compared with. Nothing of the product imports it. See README.md."""
