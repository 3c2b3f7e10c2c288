"""The progressive-resizing lab: train on small images first, larger ones later, and see what it gave."""

__version__ = "0.1.0"
