"""The commands: their groups in the help, their modules and their one-line descriptions.

`regulars --help` and shell completion read this table alone. The module of a command is imported
when the command runs or shows its own help. It has an `app` of Typer, in which the command is
registered under its full name, or under its last word:

    app = typer.Typer()

    @app.command("account rename", epilog=examples("regulars account rename old new"))
    def rename(...) -> None:
        \"""Rename an account.\"""

`module` is the name of a module of this package and, if it is not `app`, of its `Typer`:
`"accounts:token_app"`.
"""

from __future__ import annotations

from dataclasses import dataclass

RUN = "Run"
CUSTOMERS = "Customers"
ACCOUNTS = "Accounts and tokens"
WEBHOOKS = "Webhooks"
MAINTENANCE = "Maintenance"
GROUPS = (RUN, CUSTOMERS, ACCOUNTS, WEBHOOKS, MAINTENANCE)


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """A command, or a group of commands, which has no module. Hidden commands are old names."""

    name: str
    group: str
    summary: str
    module: str = ""
    is_hidden: bool = False


ENTRIES = (
    CommandEntry("serve", RUN, "Serve the API and the pages.", "running"),
    CommandEntry("open", RUN, "Open the pages in a browser that is signed in.", "browser"),
    CommandEntry(
        "config",
        RUN,
        "List the settings, their values and where the values come from.",
        "configuration",
    ),
    CommandEntry(
        "worker", RUN, "Deliver webhooks and evaluate segments in a separate process.", "running"
    ),
    CommandEntry("migrate", RUN, "Create or upgrade the tables of a database.", "running"),
    CommandEntry("sample", RUN, "Add sample customers to an account.", "running"),
    CommandEntry("schema", RUN, "Print the GraphQL schema of the API.", "about"),
    CommandEntry(
        "version",
        RUN,
        "Print the version of Regulars, its commit, and the version of its tables.",
        "about",
    ),
    CommandEntry("help", RUN, "Show the help of Regulars or of a command.", "about"),
    CommandEntry("customers", CUSTOMERS, "Search, read and change customers."),
    CommandEntry("customers search", CUSTOMERS, "Search customers.", "customers"),
    CommandEntry("customers get", CUSTOMERS, "Print a customer.", "customers"),
    CommandEntry("customers create", CUSTOMERS, "Create a customer.", "customers"),
    CommandEntry("customers update", CUSTOMERS, "Update a customer.", "customers"),
    CommandEntry("customers delete", CUSTOMERS, "Delete customers.", "customers"),
    CommandEntry("customers history", CUSTOMERS, "List the changes of a customer.", "customers"),
    CommandEntry("comments", CUSTOMERS, "List, add, update and delete comments."),
    CommandEntry("comments list", CUSTOMERS, "List the comments of a customer.", "comments"),
    CommandEntry("comments add", CUSTOMERS, "Add a comment to a customer.", "comments"),
    CommandEntry("comments update", CUSTOMERS, "Correct or pin a comment.", "comments"),
    CommandEntry("comments delete", CUSTOMERS, "Delete comments.", "comments"),
    CommandEntry("trash", CUSTOMERS, "List, restore and remove deleted customers."),
    CommandEntry("trash list", CUSTOMERS, "List deleted customers.", "trash"),
    CommandEntry("trash restore", CUSTOMERS, "Restore deleted customers.", "trash"),
    CommandEntry("trash empty", CUSTOMERS, "Remove deleted customers for good.", "trash"),
    CommandEntry("tags", CUSTOMERS, "List, rename and merge tags."),
    CommandEntry(
        "tags list", CUSTOMERS, "List the tags with their numbers of customers, by name.", "tags"
    ),
    CommandEntry("tags rename", CUSTOMERS, "Rename a tag of all customers that have it.", "tags"),
    CommandEntry("segments", CUSTOMERS, "Save searches, and list their customers."),
    CommandEntry("segments list", CUSTOMERS, "List the segments, by name.", "segments"),
    CommandEntry(
        "segments show", CUSTOMERS, "Print a segment and its number of customers.", "segments"
    ),
    CommandEntry("segments create", CUSTOMERS, "Create a segment.", "segments"),
    CommandEntry("segments update", CUSTOMERS, "Update a segment.", "segments"),
    CommandEntry("segments delete", CUSTOMERS, "Delete segments.", "segments"),
    CommandEntry(
        "segments members",
        CUSTOMERS,
        "List the customers of a segment, the newest first.",
        "segments",
    ),
    CommandEntry(
        "segments export",
        CUSTOMERS,
        "Export the definitions of all segments to a file.",
        "segment_files",
    ),
    CommandEntry(
        "segments load",
        CUSTOMERS,
        "Create or update segments from a file of `segments export`.",
        "segment_files",
    ),
    CommandEntry("query", CUSTOMERS, "Execute a GraphQL document.", "query"),
    CommandEntry("import", CUSTOMERS, "Import customers from files.", "transfer"),
    CommandEntry("imports", CUSTOMERS, "List imports of files."),
    CommandEntry(
        "imports list", CUSTOMERS, "List the imports of files and their progress.", "import_list"
    ),
    CommandEntry("update", CUSTOMERS, "Update all customers of a search.", "jobs"),
    CommandEntry("jobs", CUSTOMERS, "List, cancel and undo bulk edits and imports."),
    CommandEntry("jobs list", CUSTOMERS, "List bulk edits, imports and undos.", "jobs"),
    CommandEntry("jobs show", CUSTOMERS, "Print a job and its problems.", "jobs"),
    CommandEntry("jobs cancel", CUSTOMERS, "Stop a job.", "jobs"),
    CommandEntry("jobs undo", CUSTOMERS, "Undo a bulk edit, an import or an undo.", "jobs"),
    CommandEntry("export", CUSTOMERS, "Export customers to a file.", "transfer"),
    CommandEntry(
        "pull", CUSTOMERS, "Copy the customers of another server to an account.", "mirror"
    ),
    CommandEntry(
        "push", CUSTOMERS, "Copy the customers of an account to another server.", "mirror"
    ),
    CommandEntry("account", ACCOUNTS, "Manage accounts."),
    CommandEntry("account create", ACCOUNTS, "Create an account.", "accounts:account_app"),
    CommandEntry(
        "account list",
        ACCOUNTS,
        "List the accounts and their numbers of customers.",
        "accounts:account_app",
    ),
    CommandEntry(
        "account move",
        ACCOUNTS,
        "Move an account to another node of a Citus cluster.",
        "accounts:account_app",
    ),
    CommandEntry("account rename", ACCOUNTS, "Rename an account.", "account_changes"),
    CommandEntry(
        "account settings", ACCOUNTS, "Show or change settings of an account.", "account_settings"
    ),
    CommandEntry("account disable", ACCOUNTS, "Disable an account.", "account_changes"),
    CommandEntry("account enable", ACCOUNTS, "Enable a disabled account.", "account_changes"),
    CommandEntry(
        "account delete",
        ACCOUNTS,
        "Delete an account with everything in it.",
        "account_changes",
    ),
    CommandEntry("people", ACCOUNTS, "Invite people to the pages, and change their roles."),
    CommandEntry("people list", ACCOUNTS, "List the people of an account.", "people"),
    CommandEntry("people invite", ACCOUNTS, "Invite a person, and print a sign-in link.", "people"),
    CommandEntry("people link", ACCOUNTS, "Print a new sign-in link for a person.", "people"),
    CommandEntry("people role", ACCOUNTS, "Change the role of a person.", "people"),
    CommandEntry("people remove", ACCOUNTS, "Remove a person.", "people"),
    CommandEntry("token", ACCOUNTS, "Manage the tokens that give access to an account."),
    CommandEntry(
        "token create",
        ACCOUNTS,
        "Create a token for an account and show it once.",
        "accounts:token_app",
    ),
    CommandEntry("token list", ACCOUNTS, "List the tokens and their state.", "accounts:token_app"),
    CommandEntry("token revoke", ACCOUNTS, "Revoke a token.", "accounts:token_app"),
    CommandEntry("token rename", ACCOUNTS, "Rename a token.", "account_changes"),
    CommandEntry("webhook", WEBHOOKS, "List, test, retry, pause, resume and filter webhooks."),
    CommandEntry("webhook list", WEBHOOKS, "List the webhooks of an account.", "webhook_commands"),
    CommandEntry(
        "webhook show",
        WEBHOOKS,
        "Print a webhook and its newest deliveries.",
        "webhook_commands",
    ),
    CommandEntry(
        "webhook test",
        WEBHOOKS,
        "Send an example of an event to a webhook.",
        "webhook_commands",
    ),
    CommandEntry(
        "webhook retry", WEBHOOKS, "Send deliveries of webhooks again.", "webhook_commands"
    ),
    CommandEntry("webhook pause", WEBHOOKS, "Pause a webhook.", "webhook_commands"),
    CommandEntry(
        "webhook resume",
        WEBHOOKS,
        "Resume a webhook that is paused or disabled.",
        "webhook_commands",
    ),
    CommandEntry("webhook filter", WEBHOOKS, "Set the filters of a webhook.", "webhook_filters"),
    CommandEntry("webhook-secret", WEBHOOKS, "Manage the secret that signs events."),
    CommandEntry("webhook-secret show", WEBHOOKS, "Show the secret of an account.", "webhooks"),
    CommandEntry(
        "webhook-secret rotate", WEBHOOKS, "Replace the secret of an account.", "webhooks"
    ),
    CommandEntry("inbox", WEBHOOKS, "Manage shop events that Regulars could not process."),
    CommandEntry(
        "inbox list", WEBHOOKS, "List the unprocessed events and their problems.", "inbox"
    ),
    CommandEntry("inbox retry", WEBHOOKS, "Process events again.", "inbox"),
    CommandEntry("inbox delete", WEBHOOKS, "Delete unprocessed events.", "inbox"),
    CommandEntry("inbox forget", WEBHOOKS, "Delete unprocessed events.", "inbox", is_hidden=True),
    CommandEntry(
        "inbox secret", WEBHOOKS, "Set the secret that a shop signs its events with.", "inbox"
    ),
    CommandEntry("doctor", MAINTENANCE, "Check a deployment and report problems.", "maintenance"),
    CommandEntry(
        "verify", MAINTENANCE, "Check that the data in a database is consistent.", "maintenance"
    ),
    CommandEntry("backup", MAINTENANCE, "Back up a database to a file.", "maintenance"),
    CommandEntry("restore", MAINTENANCE, "Restore a backup to an empty database.", "maintenance"),
    CommandEntry("copy", MAINTENANCE, "Copy a database to another database.", "maintenance"),
)
