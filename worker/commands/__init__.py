"""Bodies of the commands, imported only when they run: `--help` stays light."""
