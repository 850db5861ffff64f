"""The steps from a tutorial server to ours, each a small server. See bench/README.md."""
