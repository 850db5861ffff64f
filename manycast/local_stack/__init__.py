"""`manycast up`: Valkey, simulator, worker and gateway as child processes of one terminal."""
