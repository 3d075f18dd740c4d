"""What a user's config may say, as typed values: checked in full, all at once, before any job starts."""

from genome.config.config import Config
from genome.config.variants import Variant

__all__ = ["Config", "Variant"]
