"""Sources of chunks: OpenAI-compatible providers and plug-in generators, and their errors."""
