"""Ask Linux and a terminal: files written whole, locks, processes, signals, environment modules, progress."""
