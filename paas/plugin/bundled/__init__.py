"""Plugins in Python that come with the program."""
