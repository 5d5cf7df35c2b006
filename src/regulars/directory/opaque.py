"""Texts that clients hand back as they were given: base64, read leniently."""

from __future__ import annotations

import binascii


def from_base64(text: str) -> bytes | None:
    """What the text encodes; None when it is not base64. Unpadded and URL-safe forms are fine."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        standard = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return binascii.a2b_base64(standard + "=" * (-len(standard) % 4), strict_mode=True)
    except ValueError:
        return None
