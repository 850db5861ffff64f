"""The commands of `manycast`: ask, watch, doctor, and API keys."""
