"""The build cache: results found by the content of what they were made from, here and, if asked for, afar."""

from neurenix.cache.entry import CacheEntry, file_digest, is_whole
from neurenix.cache.store import Cache, cache_directory, cache_key

__all__ = ["Cache", "CacheEntry", "cache_directory", "cache_key", "file_digest", "is_whole"]
