"""Scripts run plainly online and through runferry, and what differs; jobs that are killed and continued."""
