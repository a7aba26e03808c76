"""Set-based statements of the engine; each says its effect and its index."""
