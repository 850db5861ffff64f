"""How many processes, cores, bytes and Redis nodes a load needs: measured costs of single steps, and sums of them."""
