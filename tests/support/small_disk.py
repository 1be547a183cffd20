"""A command on a disk that is too small, and at once again on one that is not."""

import subprocess
from functools import cache
from pathlib import Path

# The kernel's own "no space left": a tmpfs in a mount namespace of its own, which ends with the command. What was in
# the folder at the end is kept in another one.
_MOUNTED = (
    'mount -t tmpfs -o size="$1" tmpfs "$2" || exit 99; folder=$2; kept=$3; shift 3; "$@"; echo "first: $?" >&2;'
    ' mount -o remount,size=256m "$folder" || exit 99; "$@"; code=$?; cp -a "$folder/." "$kept"; exit $code'
)
# Where namespaces are not allowed (some containers): no file may be larger.
_LIMITED = (
    'folder=$2; kept=$3; blocks=$(($1 / 1024)); shift 3; (ulimit -f $blocks; "$@"); echo "first: $?" >&2;'
    ' "$@"; code=$?; cp -a "$folder/." "$kept"; exit $code'
)
FULL = r"No space left on device|File too large|ENOSPC|EFBIG"


@cache
def has_namespaces() -> bool:
    """Whether this machine lets us mount something of our own."""
    tried = subprocess.run(
        ["unshare", "-rm", "sh", "-c", "mount -t tmpfs tmpfs /mnt"], capture_output=True, check=False
    )
    return tried.returncode == 0


def full_at_first(folder: Path, size: int, kept: Path) -> list[str]:
    """Words in front of a command, which then runs twice: with `size` bytes of room in a folder, then with enough.

    How the first ended is said on stderr, as `first: CODE`; the exit code is the second's.
    """
    for each in (folder, kept):
        each.mkdir(parents=True, exist_ok=True)
    own = ["unshare", "-rm"] if has_namespaces() else []
    script = _MOUNTED if has_namespaces() else _LIMITED
    return [*own, "bash", "-c", script, "bash", str(size), str(folder), str(kept)]
