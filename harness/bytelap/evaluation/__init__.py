"""Bits per byte, defined once: the only code that gathers a target's probability."""
