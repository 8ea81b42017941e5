"""Other people's models, read into the same Graph that a traced Module becomes."""

from neurenix.frontends.load import load

__all__ = ["load"]
