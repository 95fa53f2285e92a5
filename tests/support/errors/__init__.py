"""What provokes each error of runferry's own."""
