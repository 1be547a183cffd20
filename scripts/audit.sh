#!/usr/bin/env bash
# usage: audit.sh LOCK...   (base dev gpu)
# Asks the vulnerability service of the package index about the lock files (pip-audit). Exit codes: 0 none known,
# 1 some are known (listed), 75 NOT CHECKED: the service did not answer, or knew not all packages. Versions and hashes
# are tested offline by tests/unit/test_house.py; nothing else can be said without the service.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build/audit
code=0
for name in "$@"; do
    report="build/audit/$name.json"
    rm -f "$report"
    # Names and versions are complete in the lock, so nothing is resolved or downloaded.
    timeout 600 .venv/bin/pip-audit --requirement "requirements/$name.lock" --require-hashes --disable-pip \
        --progress-spinner off --timeout 20 --format json --output "$report" 2>"build/audit/$name.log" || true
    said=0
    .venv/bin/python scripts/audit_report.py "requirements/$name.lock" "$report" || said=$?
    # What was not checked outweighs what was found: it must never look like a clean bill.
    if [ "$said" -eq 75 ] || [ "$code" -eq 0 ]; then code=$said; fi
done
exit "$code"
