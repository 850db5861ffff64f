"""An OpenAI-compatible provider over HTTP that needs no key: for the demo, for tests and for load.

It is not a language model: it sends prepared answers and prepared faults at a realistic pace. It imports none of our
other packages. `python -m simulator` runs it. docs/simulator.md lists its models and settings.
"""
