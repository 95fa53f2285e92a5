"""Bring runs from a site to a machine with internet, sync them there, and give the site their receipts."""
