"""One job's generation: call the source, buffer its chunks in an outbox, publish them."""
