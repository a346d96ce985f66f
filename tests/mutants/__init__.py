"""Changes of the code that a test must notice: made in memory, one forked process each."""
