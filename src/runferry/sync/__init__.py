"""Upload runs to their server, compare it with the disk, and write receipts."""
