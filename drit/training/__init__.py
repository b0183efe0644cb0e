"""Training: one loop that runs any method, and the run folder it writes."""
