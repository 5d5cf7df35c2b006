"""tools/prose.py finds the words of its list in prose, and ignores code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.test_docs import ROOT

PAGE = """# Title

Decide anew, `anew`
and [a link](anew.md).

```sh
anew
```

| Whoever reads |
"""


def test_banned_words_are_found_outside_code(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    process = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "prose.py"), str(page)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert process.returncode == 1
    assert [line.partition(": ")[0] for line in process.stdout.splitlines()] == [
        f"{page}:3",
        f"{page}:10",
    ]


def test_banned_words_are_found_in_messages_docstrings_and_comments(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        '"""Return the row and decide anew."""\nMESSAGE = "Read it and decide anew."\nanew = 1  # set anew\n'
    )
    process = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "prose.py"), str(module)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert process.returncode == 1
    assert process.stdout.splitlines() == [
        f"{module}:{line}: 'anew': write again." for line in (1, 2, 3)
    ]
