"""Set-based statements over tags and assignments; each says its effect and its index."""
