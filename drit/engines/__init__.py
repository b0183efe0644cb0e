"""Who does bulk work: this process alone, or the workers of a Ray cluster. Both give the same bytes."""
