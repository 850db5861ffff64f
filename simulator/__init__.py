"""An OpenAI-compatible provider over HTTP that needs no key: for the demo, for tests and for load.

It is not a model: it plays prepared answers and prepared faults at a realistic pace. It stands alone and
imports nothing of the other floors. `python -m simulator` runs it; docs/simulator.md lists its models and
settings.
"""
