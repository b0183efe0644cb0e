"""Settings: frozen dataclasses whose fields are default, flag, help, range and record. Imports no torch.

schema.py: how fields are read, checked and changed. common.py: what every method has. groups.py: what several methods
have. sizes.py: sizes for a purpose.
"""
