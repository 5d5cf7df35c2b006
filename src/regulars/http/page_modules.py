"""Joins the modules of the first page into one file, because each file takes the time of a browser
and of the server.

The modules of `web/` have one form of import and export, which tests check, so that a regular
expression finds them. A joined module becomes a function that returns its exports. The other
modules read them from `modules`, which the joined file exports. A module that only one page needs
is a part of the file of that page.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from graphlib import TopologicalSorter

_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w-]+\.js)";$', re.MULTILINE)
DYNAMIC_IMPORT = re.compile(r'\bimport\("\./([\w-]+\.js)"\)')
_EXPORT = re.compile(r"^export ((?:async )?(?:function|class|const) (\w+))", re.MULTILINE)


def join_modules(
    sources: Mapping[str, str], entry: str, page: str, separate: str
) -> dict[str, str]:
    """Returns the files as they are served. The file `entry` has that module, the module `page`,
    and all modules that they import, except `separate` and its imports."""
    separate_names = with_imports(sources, separate)
    joined = (with_imports(sources, entry) | with_imports(sources, page)) - separate_names
    shared = joined | separate_names
    served = {name: sources[name] for name in separate_names}
    for name, parts in _group_by_page(sources, shared).items():
        served[name] = _with_parts(sources, name, parts, shared, entry)
    names = sorted(separate_names)
    lines = [f'import * as m{index} from "./{name}";' for index, name in enumerate(names)]
    entries = ", ".join(f'"{name}": m{index}' for index, name in enumerate(names))
    lines.append(f"export const modules = {{ {entries} }};")
    # The module of the entry starts the page, so it is the last.
    lines += _as_functions(sources, joined - {entry}, shared)
    lines.append(_as_function(entry, sources[entry], shared))
    return {**served, entry: "\n".join(lines)}


def _imports(source: str) -> set[str]:
    return {name for _, name in _IMPORT.findall(source)}


def with_imports(sources: Mapping[str, str], first: str) -> set[str]:
    """Returns the names of a module and of all modules that it imports, directly or not."""
    names, queue = {first}, [first]
    while queue:
        new = _imports(sources[queue.pop()]) - names
        names |= new
        queue += new
    return names


def _group_by_page(sources: Mapping[str, str], shared: set[str]) -> dict[str, set[str]]:
    """Returns the names of the other files, with the modules that only this page needs."""
    pages = {name for source in sources.values() for name in DYNAMIC_IMPORT.findall(source)}
    needed = {page: with_imports(sources, page) - shared for page in sorted(pages - shared)}
    uses = Counter(name for names in needed.values() for name in names)
    files = {page: {name for name in names if uses[name] == 1} for page, names in needed.items()}
    return {**{name: {name} for name in uses if uses[name] > 1}, **files}


def _with_parts(
    sources: Mapping[str, str], name: str, parts: set[str], shared: set[str], entry: str
) -> str:
    """Returns the file of a module and its `parts`, which reads other exports from `modules`."""
    known = shared | parts
    if not _imports(sources[name]) & known:
        return sources[name]
    # A function cannot import a file, so the file of the page does.
    files = sorted(set().union(*(_imports(sources[part]) for part in parts - {name})) - known)
    lines = [f'import {{ modules }} from "./{entry}";']
    for index, file in enumerate(files):
        lines += [f'import * as m{index} from "./{file}";', f'modules["{file}"] = m{index};']
    lines += _as_functions(sources, parts - {name}, known | set(files))
    return "\n".join([*lines, _read_shared(sources[name], known)])


def _as_functions(sources: Mapping[str, str], names: set[str], shared: set[str]) -> list[str]:
    graph = {name: _imports(sources[name]) & names for name in sorted(names)}
    order = TopologicalSorter(graph).static_order()
    return [_as_function(name, sources[name], shared) for name in order]


def _as_function(name: str, source: str, shared: set[str]) -> str:
    exports = ", ".join(export for _, export in _EXPORT.findall(source))
    body = _EXPORT.sub(r"\1", _read_shared(source, shared))
    return f'modules["{name}"] = (() => {{\n{body}\nreturn {{ {exports} }};\n}})();'


def _read_shared(source: str, shared: set[str]) -> str:
    def read(match: re.Match[str]) -> str:
        names, name = match.groups()
        return f'const {{{names}}} = modules["{name}"];' if name in shared else match[0]

    def load(match: re.Match[str]) -> str:
        return f'Promise.resolve(modules["{match[1]}"])' if match[1] in shared else match[0]

    return DYNAMIC_IMPORT.sub(load, _IMPORT.sub(read, source))
