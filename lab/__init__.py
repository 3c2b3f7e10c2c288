"""The progressive-resizing lab: small images first, larger ones later."""

__version__ = "0.1.0"
