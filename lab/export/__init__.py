"""A trained stage to take home: a timm directory, its card, its scores, a script to use it."""
