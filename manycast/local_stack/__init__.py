"""`manycast up`: runs Valkey, the simulator, a worker and a gateway as child processes."""
