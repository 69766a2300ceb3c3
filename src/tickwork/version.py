"""The version of tickwork."""

__version__ = "0.1.0"
