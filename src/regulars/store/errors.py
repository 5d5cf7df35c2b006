"""What can go wrong with a database.

StoreError
├── BadDatabaseURL     the address makes no sense
├── Unreachable        nobody answers there, or not to us
│   ├── NoRoom         its disk is full
│   └── SilentNode     the node that has the account does not answer
├── NotMigrated        the tables are missing, or older or newer than this program
├── TooSlow            a read took longer than it may
└── Conflict           a unique key exists already
"""


class StoreError(Exception):
    """A database cannot do what it is asked; the message is for the operator."""


class BadDatabaseURL(StoreError):
    """The database's address is not one that Regulars can use."""


class Unreachable(StoreError):
    """The database does not answer."""


class NoRoom(Unreachable):
    """The database's disk is full: it can be read, and not written."""


class SilentNode(Unreachable):
    """The node of the database that has the account does not answer, and was not asked."""


class NotMigrated(StoreError):
    """The database's tables are not those of this program."""


class TooSlow(StoreError):
    """A read was given up, because it took longer than reads may."""


class Conflict(StoreError):
    """A row with this key exists already."""
