"""Serves the web pages: one HTML page and its assets (CSS, JavaScript and SVG).

The files are read once, when the server starts. The URLs of assets contain a hash of all contents,
so that a browser caches them indefinitely and revalidates only the page. The URLs also name the
language: the module of the texts is another one for each.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files

import brotli
import rcssmin
import rjsmin
from starlette.requests import Request
from starlette.responses import Response

from regulars.customers.fields import described
from regulars.http.errors import HTTPError, method_not_allowed, not_found
from regulars.http.languages import DEFAULT_LANGUAGE, RIGHT_TO_LEFT, choose_language
from regulars.http.messages import SECURITY, choose_request_id, index_headers
from regulars.http.page_modules import join_modules, with_imports
from regulars.http.page_texts import split_texts
from regulars.http.route_handler import build_error_response

ASSETS = "/assets"
_PAGE = "index.html"
_SIGN_IN = "/sign-in"
# The file that lists the paths of the pages, as in `path: "/webhooks/:number"`.
_ROUTES = "routes.js"
# The module that starts the pages, the page that is shown first, and the module that requests its
# data, which is loaded before the others.
_ENTRY, _FIRST_PAGE, _FIRST_REQUEST = "app.js", "customers.js", "list-query.js"
_FIELDS = "fields.js"
# The module of the texts, and the folder of its translations, as in `fr.js`.
_TEXTS = "texts.js"
_LANGUAGES = "languages"
# A comma after the last item of several lines.
_TRAILING_COMMA = re.compile(rb",(?=\s*\n\s*[)\]}])")
# A text of the page itself, as in `{{t.skip}}`, which is one string in the module of the texts.
_PAGE_TEXT = re.compile(r"\{\{t\.(\w+)\}\}")
_ROUTE_PATH = re.compile(r'\bpath:\s*"(/[^"]*)"')
_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
# The keys of a field's declaration that the pages use.
_FIELD_KEYS = ("name", "kind", "is_writable", "sort", "in_history", "in_list", "sources")
_GRAVATAR = "https://www.gravatar.com"
_IMMUTABLE = "public, max-age=31536000, immutable"
_REVALIDATED = "no-cache"
# The other security headers are those of the page that loads the asset.
_ASSET_HEADERS = {
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass(slots=True)
class _File:
    """A file with its response headers, and its content, plain and by content encoding."""

    media_type: str
    cache_control: str
    etag: str
    plain: bytes
    encoded: Mapping[str, bytes] = field(default_factory=dict)

    def compress(self) -> None:
        """Compresses the content, which takes 10 ms for a file of usual size, and 2 ms for the
        page."""
        # In order of preference. Browsers accept Brotli only over TLS and on localhost.
        self.encoded = {
            "br": brotli.compress(self.plain),
            "gzip": gzip.compress(self.plain, 9, mtime=0),
        }


class Translation:
    """The files of the pages in one language. All but those of the first language are built when
    they are needed first."""

    def __init__(self, language: str, sources: Mapping[str, str]) -> None:
        self.language = language
        self._sources = sources

    @cached_property
    def contents(self) -> Mapping[str, bytes]:
        served = serve(self._sources)
        return {name: minify(name, text.encode()) for name, text in served.items()}

    @cached_property
    def assets(self) -> Mapping[str, _File]:
        return {
            name: _build_file(name, content, _IMMUTABLE)
            for name, content in self.contents.items()
            if name != _PAGE
        }

    def page(self, base: str, gravatar: bool, *, is_sign_in: bool = False) -> _File:
        """Returns the page, whose assets have the URL `base`. The page to sign in does not show the
        frame of the others while the scripts are loading."""
        values = {
            "language": self.language,
            "direction": "rtl" if self.language in RIGHT_TO_LEFT else "ltr",
            "assets": base,
            "gravatar": _GRAVATAR if gravatar else "",
            "frame": "signing-in" if is_sign_in else "",
        }
        text = _PAGE_TEXT.sub(self._find_text, self._sources[_PAGE])
        for name, value in values.items():
            text = text.replace(f"{{{{{name}}}}}", value)
        return _build_file(_PAGE, text.encode(), _REVALIDATED)

    def _find_text(self, key: re.Match[str]) -> str:
        (text,) = re.findall(rf'^  {key[1]}:\s+"(.*)",$', self._sources[_TEXTS], re.MULTILINE)
        return html.escape(text)


class Pages:
    """Serves the page and its assets. `gravatar` permits the page to load pictures from
    Gravatar."""

    def __init__(self, gravatar: bool) -> None:
        sources = read_sources()
        texts = {DEFAULT_LANGUAGE: sources[_TEXTS], **read_translations()}
        translations = {
            language: Translation(language, {**sources, _TEXTS: text})
            for language, text in texts.items()
        }
        contents = translations[DEFAULT_LANGUAGE].contents
        digest = hashlib.sha256()
        for name in sorted(contents):
            digest.update(b"%s\0%d\0%s" % (name.encode(), len(contents[name]), contents[name]))
        for language in sorted(texts):
            digest.update(f"{language}\0{texts[language]}\0".encode())
        version = digest.hexdigest()[:16]
        # The paths of the pages in the syntax of Starlette: `/webhooks/{number}`.
        paths = _ROUTE_PATH.findall(sources[_ROUTES])
        self.paths = ["/", *(re.sub(r":(\w+)", r"{\1}", path) for path in paths)]
        # By the name of the folder of the assets.
        self._translations = {f"{version}-{code}": each for code, each in translations.items()}
        # By language.
        self._pages = {
            each.language: each.page(f"{ASSETS}/{folder}", gravatar)
            for folder, each in self._translations.items()
        }
        self._sign_in_pages = {
            each.language: each.page(f"{ASSETS}/{folder}", gravatar, is_sign_in=True)
            for folder, each in self._translations.items()
        }
        self._security_headers = _build_security_headers(gravatar)

    async def page(self, request: Request) -> Response:
        """Returns the page, in the language of the person or the browser. Its script renders the
        view for the path."""
        return self._respond_page(request)

    def not_found_page(self, request: Request) -> Response | None:
        """Returns the page with status 404 for a browser, and None for other clients."""
        if request.method != "GET" or "text/html" not in request.headers.get("accept", ""):
            return None
        response = self._respond_page(request)
        response.status_code = 404
        return response

    def _respond_page(self, request: Request) -> Response:
        language = choose_language(request.headers, self._pages)
        headers = {**self._security_headers, "content-language": language}
        vary = "accept-encoding, accept-language, cookie"
        pages = self._sign_in_pages if request.url.path == _SIGN_IN else self._pages
        page = pages[language]
        if not page.encoded:
            page.compress()
        return self._respond(request, page, headers, vary)

    async def asset(self, request: Request) -> Response:
        """Returns an asset. Its path has the version of the assets, their language and the name of
        a file."""
        folder, name = (request.path_params[part] for part in ("version", "name"))
        file = None
        if translation := self._translations.get(folder):
            assets = await asyncio.to_thread(lambda: translation.assets)
            file = assets.get(name)
        if file and not file.encoded:  # to compress all of them would delay each start by 0.3 s
            await asyncio.to_thread(file.compress)
        return self._respond(request, file, _ASSET_HEADERS, "accept-encoding")

    def _respond(
        self, request: Request, file: _File | None, own_headers: Mapping[str, str], vary: str
    ) -> Response:
        headers = index_headers(request.scope["headers"])
        request_id = choose_request_id(headers)
        try:
            if file is None:
                raise not_found(
                    "This file belongs to another version of the pages. Reload the page."
                )
            if request.method not in ("GET", "HEAD"):
                raise method_not_allowed(request.method, "GET, HEAD", "Use GET to read a page.")
        except HTTPError as error:
            return build_error_response(error, request_id)
        response_headers = {
            **own_headers,
            "cache-control": file.cache_control,
            "etag": file.etag,
            "vary": vary,
            "x-request-id": request_id.decode(),
        }
        if headers.get(b"if-none-match") == file.etag.encode():
            return Response(status_code=304, headers=response_headers)
        content = file.plain
        accepted = headers.get(b"accept-encoding", b"").decode("latin-1")
        for encoding, encoded in file.encoded.items():
            if encoding in accepted:
                content = encoded
                response_headers["content-encoding"] = encoding
                break
        return Response(content, headers=response_headers, media_type=file.media_type)


def read_sources() -> dict[str, str]:
    """Returns the files of the pages, by name."""
    folder = files("regulars").joinpath("web")
    return {
        file.name: file.read_text(encoding="utf-8") for file in folder.iterdir() if file.is_file()
    }


def read_translations() -> dict[str, str]:
    """Returns the modules of the texts in other languages, by the code of the language. They are
    served in the folder of the other modules."""
    folder = files("regulars").joinpath("web", _LANGUAGES)
    return {
        file.name.removesuffix(".js"): file.read_text(encoding="utf-8").replace('"../', '"./')
        for file in folder.iterdir()
        if file.name.endswith(".js")
    }


def serve(sources: Mapping[str, str]) -> dict[str, str]:
    """Returns the files as browsers receive them, except that they are not minified."""
    modules = {name: text for name, text in sources.items() if name.endswith(".js")}
    fields = modules[_FIELDS].replace("DECLARED_FIELDS", _serialize_fields())
    modules[_FIELDS] = fields
    first = with_imports(modules, _ENTRY) | with_imports(modules, _FIRST_PAGE)
    modules = join_modules(split_texts(modules, first), _ENTRY, _FIRST_PAGE, _FIRST_REQUEST)
    others = {name: text for name, text in sources.items() if not name.endswith(".js")}
    return {**others, **modules}


def minify(name: str, content: bytes) -> bytes:
    """Returns a script or a stylesheet without comments, needless white space and trailing commas,
    and any other file as it is."""
    if name.endswith(".js"):
        return bytes(rjsmin.jsmin(_TRAILING_COMMA.sub(b"", content)))
    return bytes(rcssmin.cssmin(content)) if name.endswith(".css") else content


def _serialize_fields() -> str:
    """Returns the declarations of the customer fields for the pages, as JSON."""
    fields = [
        {key: declared[key] for key in _FIELD_KEYS if declared.get(key)}
        for declared in described()
        if declared["in_api"]
    ]
    return json.dumps(fields, separators=(",", ":"))


def _build_file(name: str, content: bytes, cache_control: str) -> _File:
    media_type = _TYPES[name.rpartition(".")[2]]
    etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    return _File(media_type, cache_control, etag, content)


def _build_security_headers(gravatar: bool) -> dict[str, str]:
    """Returns the security headers of the page. It may load files from and send requests to this
    server only, and with `gravatar` show pictures from Gravatar. No text can become markup or a
    script (Content Security Policy Level 3; Trusted Types)."""
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "img-src": f"'self' {_GRAVATAR}" if gravatar else "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return {
        **{name.decode(): value.decode() for name, value in SECURITY},
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }
