"""Damaged, absurd and foreign files, and what becomes of them; the command is in `__main__`."""
