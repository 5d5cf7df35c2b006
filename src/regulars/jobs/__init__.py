"""Jobs: bulk edits, and the undo of bulk edits and imports."""
