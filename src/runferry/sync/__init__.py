"""Carry runs to their server, compare what it holds with the disk, and write receipts."""
