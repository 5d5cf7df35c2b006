"""The syntax of emails that are not plain."""

from __future__ import annotations

import email_validator
from email_validator import EmailNotValidError

# An address is checked for its syntax alone: `ana@shop.test` is as good as any other on a
# developer's machine. The library documents this list as the place to say so.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


def split(email: str) -> tuple[str, str]:
    """Return the local part and the domain in ASCII, as in IDNA 2008. Raises
    EmailNotValidError with the reason."""
    parsed = email_validator.validate_email(email, check_deliverability=False)
    return parsed.local_part, parsed.domain


__all__ = ["EmailNotValidError", "split"]
