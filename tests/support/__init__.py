"""What the tests share: programs, folders and servers that stand for real ones, and real ones started for them."""
