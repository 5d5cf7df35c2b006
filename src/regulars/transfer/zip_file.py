"""Read the one file of a zip archive within limits, and recognise workbooks and documents.

The entries are decompressed here and not by `zipfile`, which trusts the declared sizes (APPNOTE.TXT
of PKWARE has the format).
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import IO, Any

from regulars.transfer.errors import BadFile, IncompleteFile
from regulars.transfer.gzip_reader import BEGINNING, CHUNK_BYTES, Bounds, too_large

SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_END = b"PK\x05\x06"
_END_BYTES = 22
_MAX_COMMENT_BYTES = 65_535
_ZIP64_LOCATOR_BYTES = 20
_ZIP64_END_BYTES = 56
# An entry takes at least 46 bytes of the directory, and `zipfile` makes an object of each.
_MAX_DIRECTORY_BYTES = 1024 * 1024
_MAX_LISTED = 10
_STORED, _DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_ENCRYPTED = 0x1
# Files that macOS and Windows add to archives.
_IGNORED_NAMES = frozenset((".ds_store", "thumbs.db", "desktop.ini"))
# Endings of files that have no customers.
_NOTES = frozenset(
    (".md", ".pdf", ".html", ".htm", ".rtf", ".docx", ".png", ".jpg", ".jpeg", ".gif")
)
_WORKBOOK_NAMES = ("xl/workbook.xml", "xl/workbook.bin", "xl/worksheets/")
_WORKBOOK_TYPES = (
    b"application/vnd.oasis.opendocument.spreadsheet",
    b"application/vnd.sun.xml.calc",
)
# The first names of the entries of documents that are zip archives.
_DOCUMENTS = (
    ("word/", "a Word document", "Export the customers as CSV."),
    ("ppt/", "a PowerPoint presentation", "Export the customers as CSV."),
    ("index/tables/", "a Numbers document", "In Numbers, choose File > Export To > CSV or Excel."),
    ("index/", "a document of Apple iWork", "Export it as CSV or Excel."),
    ("index.zip", "a document of Apple iWork", "Export it as CSV or Excel."),
    ("meta-inf/manifest.mf", "a Java archive", "Export the customers as CSV."),
    ("meta-inf/container.xml", "an e-book", "Export the customers as CSV."),
    ("content.xml", "an OpenDocument text", "Export the customers as CSV."),
)


class ZipEntryReader(io.RawIOBase):
    """Decompresses an entry of a zip archive, within bounds. Checks its length and CRC at the
    end. `packed` has the compressed bytes, from `ZipEntry.offset` on."""

    def __init__(self, name: str, packed: IO[bytes], info: zipfile.ZipInfo, bounds: Bounds) -> None:
        self._name = name
        self._packed = packed
        self._info = info
        self._max_bytes = bounds.unpacked_bytes
        self._left = info.compress_size
        self._input = b""
        self._decompressor: Any = (
            zlib.decompressobj(-zlib.MAX_WBITS) if info.compress_type == _DEFLATED else None
        )
        self._crc = self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            if not self._input and self._left:
                self._input = self._packed.read(min(CHUNK_BYTES, self._left))
                self._left -= len(self._input)
                if not self._input:
                    raise EOFError
            data = self._decompress(len(buffer))
            if data:
                self._count += len(data)
                self._crc = zlib.crc32(data, self._crc)
                if self._max_bytes is not None and self._count > self._max_bytes:
                    raise BadFile(too_large(self._name, self._max_bytes))
                buffer[: len(data)] = data
                return len(data)
            if not self._input and not self._left:
                return self._end()

    def _decompress(self, max_bytes: int) -> bytes:
        if self._decompressor is None:
            data, self._input = self._input[:max_bytes], self._input[max_bytes:]
            return data
        if self._decompressor.eof:
            self._input, self._left = b"", 0
            return b""
        data = self._decompressor.decompress(self._input, max_bytes)
        self._input = self._decompressor.unconsumed_tail
        return bytes(data)

    def _end(self) -> int:
        if self._decompressor and not self._decompressor.eof:
            raise EOFError
        if self._crc != self._info.CRC:
            raise BadFile(f"{self._name} is damaged: the check sum of its content is wrong.")
        return 0


def find_entry(name: str, file: IO[bytes], bounds: Bounds) -> zipfile.ZipInfo | None:
    """Return the one file in a zip archive, whose `header_offset` is that of its data; None if the
    archive is a workbook. Raises BadFile for other archives, and IncompleteFile if only the
    beginning of the archive is there."""
    _require_directory(name, file, bounds)
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            names = [info.filename.replace("\\", "/").lower() for info in infos]
            is_excel = any(entry.startswith(_WORKBOOK_NAMES) for entry in names)
            if is_excel or _opendocument_type(archive, infos):
                _require_size(name, infos, bounds)
                return None
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        raise BadFile(f"{name} is a damaged zip archive: {error}.") from error
    for prefix, kind, advice in _DOCUMENTS:
        if any(entry.startswith(prefix) for entry in names):
            raise BadFile(f"{name} is {kind}. {advice}")
    info = _only_entry(name, infos)
    _set_data_offset(name, file, info)
    return info


def _require_directory(name: str, file: IO[bytes], bounds: Bounds) -> None:
    """Raise BadFile if the archive has no directory or too large a one."""
    size = file.seek(0, io.SEEK_END)
    start = max(0, size - _END_BYTES - _MAX_COMMENT_BYTES - _ZIP64_LOCATOR_BYTES)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_BYTES:
        if bounds is BEGINNING:
            raise IncompleteFile(
                f"{name} is a zip archive or a workbook. Its columns are recognized when the whole "
                "file is imported."
            )
        raise BadFile(f"{name} is a zip archive that is damaged or incomplete.")
    directory_bytes = int.from_bytes(tail[at + 12 : at + 16], "little")
    if directory_bytes == 0xFFFFFFFF:
        locator = tail[max(0, at - _ZIP64_LOCATOR_BYTES) : at]
        file.seek(min(size, int.from_bytes(locator[8:16], "little")))
        directory_bytes = int.from_bytes(file.read(_ZIP64_END_BYTES)[40:48], "little")
    if directory_bytes > _MAX_DIRECTORY_BYTES:
        raise BadFile(f"{name} is a zip archive of too many files. Import the files one by one.")
    file.seek(0)


def _opendocument_type(archive: zipfile.ZipFile, infos: list[zipfile.ZipInfo]) -> bool:
    """Return whether the archive is an OpenDocument spreadsheet (ODF 1.3 part 2, 3.3)."""
    first = infos[0] if infos else None
    if not first or first.filename != "mimetype" or first.compress_type != _STORED:
        return False
    with archive.open(first) as entry:
        return entry.read(100).startswith(_WORKBOOK_TYPES)


def _require_size(name: str, infos: list[zipfile.ZipInfo], bounds: Bounds) -> None:
    """Raise BadFile for a workbook that declares more bytes than are allowed. Its process has
    limits of its own, whatever the archive declares."""
    max_bytes = bounds.unpacked_bytes
    if max_bytes is None or bounds is BEGINNING:
        return
    if sum(info.file_size for info in infos) > max_bytes:
        raise BadFile(too_large(name, max_bytes))


def _only_entry(name: str, infos: list[zipfile.ZipInfo]) -> zipfile.ZipInfo:
    files = [info for info in infos if not info.is_dir() and not _is_ignored(info.filename)]
    if not files:
        raise BadFile(f"{name} is a zip archive without a file. Put the file of customers into it.")
    if len(files) > 1:  # with a note about the export
        files = [info for info in files if not _is_note(info.filename)] or files
    if len(files) > 1:
        listed = ", ".join(repr(info.filename[:100]) for info in files[:_MAX_LISTED])
        more = f" and {len(files) - _MAX_LISTED:,} more" if len(files) > _MAX_LISTED else ""
        raise BadFile(
            f"{name} is a zip archive of {len(files):,} files: {listed}{more}. Unpack it, and "
            "import the file of customers."
        )
    (info,) = files
    if info.flag_bits & _ENCRYPTED:
        raise BadFile(f"{name} is protected with a password. Unpack it, and import the file.")
    if info.compress_type not in (_STORED, _DEFLATED):
        raise BadFile(
            f"{name} is a zip archive with a rare compression (method {info.compress_type}). "
            "Unpack it, and import the file inside."
        )
    return info


def _is_note(entry_name: str) -> bool:
    path = PurePosixPath(entry_name.replace("\\", "/").lower())
    return path.suffix in _NOTES or path.stem in ("readme", "license")


def _is_ignored(entry_name: str) -> bool:
    path = PurePosixPath(entry_name.replace("\\", "/"))
    base = path.name.lower()
    return "__MACOSX" in path.parts or base in _IGNORED_NAMES or base.startswith("._")


def _set_data_offset(name: str, file: IO[bytes], info: zipfile.ZipInfo) -> None:
    file.seek(info.header_offset)
    header = file.read(_LOCAL_HEADER.size)
    if len(header) < _LOCAL_HEADER.size or not header.startswith(SIGNATURES[0]):
        raise BadFile(f"{name} is a damaged zip archive: {info.filename!r} is not in it.")
    _, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
    info.header_offset += _LOCAL_HEADER.size + name_bytes + extra_bytes
