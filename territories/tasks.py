"""Background work of the room; each task calls one operation."""
