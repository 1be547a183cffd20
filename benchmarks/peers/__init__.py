"""The same stage in other frameworks, each a script for an environment of its own (`make peers`)."""
