"""The way from the tutorials' server to ours: a small server for each step left behind. See bench/README.md."""
