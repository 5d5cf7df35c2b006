"""`python -m regulars.cli.preflight serve …`: checks whether `regulars serve` could start with
these arguments. A server runs it before a reload, with the program that is installed now.
"""

from __future__ import annotations

import json
from typing import Any

import regulars.app  # an installation that is incomplete fails here
import regulars.cli.serve
from regulars.cli import main
from regulars.settings import Settings
from regulars.store import parse_url
from regulars.store.schema_version import require_usable


def check(settings: Settings) -> None:
    """Prints the settings as environment variables, in JSON. Raises StoreError or UsageError unless
    a server can start with them."""
    regulars.cli.serve.require_servable(settings)
    require_usable(parse_url(settings.database_url))
    print(json.dumps(settings.environment()))


if __name__ == "__main__":
    module: Any = regulars.cli.serve
    module.serve = check  # the command imports it when it runs
    main()
