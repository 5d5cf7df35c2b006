"""Moves the texts that the list of customers does not show to a file that the other pages load."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set

from regulars.http.page_modules import DYNAMIC_IMPORT

_TEXTS, _PAGE_TEXTS = "texts.js", "page-texts.js"
_START = "export const t = {\n"
# A group of texts, as in `  trash: {`, and the sentences of the server.
_GROUP = re.compile(
    r"^  (\w+): (?:\{\n.*?^  \}|Object\.entries\(\w+\)),\n", re.MULTILINE | re.DOTALL
)
_SENTENCES = re.compile(r"^const serverMessages = \{\n.*?^\};\n", re.MULTILINE | re.DOTALL)
_USED_GROUP = re.compile(r"(?<![\w.$])t\??\.(\w+)")
_LOAD = f'import {{ pageTexts }} from "./{_PAGE_TEXTS}";\n'


def split_texts(sources: Mapping[str, str], first: Set[str]) -> dict[str, str]:
    """Returns the modules, with the groups of texts that none of the modules `first` uses in a
    module of their own. The modules that are loaded later import it."""
    helpers, _, texts = sources[_TEXTS].partition(_START)
    used = {group for name in first - {_TEXTS} for group in _USED_GROUP.findall(sources[name])} - {
        "serverMessages"
    }
    moved = [match for match in _GROUP.finditer(texts) if match[1] not in used]
    for match in moved:
        texts = texts.replace(match[0], "", 1)
    groups = "".join(match[0] for match in moved)
    later = set(DYNAMIC_IMPORT.findall("".join(sources.values()))) - first - {_PAGE_TEXTS}
    return {
        **sources,
        **{name: _LOAD + sources[name] for name in later},
        _TEXTS: f"{_SENTENCES.sub('', helpers)}{_START}{texts}",
        _PAGE_TEXTS: f'import {{ t }} from "./{_TEXTS}";\n{helpers}'
        f"export const pageTexts = Object.assign(t, {{\n{groups}}});\n",
    }
