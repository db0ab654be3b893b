"""The version, written on every artifact and release."""

__version__ = "0.1.0"
