"""Show runs to their user: report.html and `runferry status`."""
