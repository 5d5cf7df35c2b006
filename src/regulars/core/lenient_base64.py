"""Base64 with or without padding, in the standard or the URL-safe alphabet (RFC 4648): some clients
rewrite ids and cursors."""

from __future__ import annotations

import binascii


def from_base64(text: str) -> bytes | None:
    """Return the bytes that a text encodes; None if it is not base64."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        standard = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return binascii.a2b_base64(standard + "=" * (-len(standard) % 4), strict_mode=True)
    except ValueError:
        return None
