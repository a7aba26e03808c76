"""What Django's admin shows of the room; each part registers its own."""

from territories.contractors import admin as contractors

__all__ = ["contractors"]
