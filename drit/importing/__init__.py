"""Checkpoints of official implementations become run folders. The importers of the methods recognise the files."""
