"""The shared cache: a dead Redis makes pages slower, never broken."""

import logging
from typing import Any

from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)


class ForgivingRedisCache(RedisCache):
    """Django's Redis cache that answers as if empty while Redis does not answer."""

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        try:
            return super().get(key, default, version)
        except (RedisError, OSError):
            logger.warning("cache: Redis does not answer; %s read as missing", key)
            return default

    def set(self, key: str, value: Any, *args: Any, **kwargs: Any) -> None:
        try:
            super().set(key, value, *args, **kwargs)
        except (RedisError, OSError):
            logger.warning("cache: Redis does not answer; %s not kept", key)

    def delete(self, key: str, version: int | None = None) -> bool:
        try:
            return super().delete(key, version)
        except (RedisError, OSError):
            return False

    def count(self, key: str, seconds: int, version: int | None = None) -> int | None:
        """Add 1 to a number that is forgotten after `seconds`, by one round trip; None while Redis does not answer."""
        made = self.make_and_validate_key(key, version=version)
        try:
            with self._cache.get_client(made, write=True).pipeline(transaction=False) as pipeline:
                pipeline.incr(made)
                pipeline.expire(made, seconds, nx=True)
                return int(pipeline.execute()[0])
        except (RedisError, OSError):
            logger.warning("cache: Redis does not answer; %s not counted", key)
            return None
