"""Errors that end a process, with the exit code that says why."""

EXIT_USAGE = 2
EXIT_FENCED = 75
EXIT_CONFIGURATION = 78
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class WorkerError(Exception):
    """Ends the process with `exit_code`; its text says what to do."""

    exit_code = 1


class ConfigurationError(WorkerError):
    """A setting, topic, right or key is wrong; trying again without a change is pointless."""

    exit_code = EXIT_CONFIGURATION


class FencedError(WorkerError):
    """Two workers share one transactional id."""

    exit_code = EXIT_FENCED


class BusyError(WorkerError):
    """Another process does what only one may do at a time; trying again later helps."""

    exit_code = EXIT_FENCED
