"""From the graph of ops to kernels: what is computed where, in which layout, in how many passes."""
