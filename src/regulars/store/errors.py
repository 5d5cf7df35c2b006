"""The errors of a database.

StoreError
├── BadDatabaseURL         the database URL is invalid
├── Unreachable            the server or the file cannot be used
│   ├── DiskFull           its disk is full
│   └── NodeUnreachable    the account's node of Citus does not answer
├── NotMigrated            the tables are missing, or of another version than this program
├── StatementTimeout       a statement took too long
└── Conflict               a unique key exists already
"""

from regulars.core.errors import RegularsError


class StoreError(RegularsError):
    """An error of a database. The message is for the operator."""


class BadDatabaseURL(StoreError):
    """The database URL is invalid."""


class Unreachable(StoreError):
    """The server of the database does not answer, or its file cannot be used."""


class DiskFull(Unreachable):
    """The database's disk is full: it can be read, but not written."""


class NodeUnreachable(Unreachable):
    """The account's node of Citus does not answer, so the statement was not sent."""


class NotMigrated(StoreError):
    """The database's tables are not those of this program."""


class StatementTimeout(StoreError):
    """A statement was cancelled because it took too long."""


class Conflict(StoreError):
    """A row with this unique key exists already."""
