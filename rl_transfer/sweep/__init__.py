"""From a matrix to a graph of runs to its execution, with reuse and resume."""
