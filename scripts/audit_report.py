"""Reads what pip-audit wrote about one lock file and says it in a line: `audit_report.py LOCK REPORT`.

Exit codes: 0 no known vulnerability, 1 some, 75 not checked. pip-audit calls a package clean that its service does not
know, as a mirror without vulnerability data knows none; here that is not checked.
"""

import json
import sys
from pathlib import Path

EXIT_KNOWN, EXIT_NOT_CHECKED = 1, 75


def summary(lock: str, report: str) -> tuple[int, list[str]]:
    """The exit code and the lines to print; report is pip-audit's JSON, empty where it wrote none."""
    if not report:
        return EXIT_NOT_CHECKED, [f"{lock}: NOT CHECKED, the vulnerability service did not answer"]
    packages = json.loads(report)["dependencies"]
    known = [(each["name"], each["version"], found) for each in packages for found in each.get("vulns", [])]
    lines = [
        f"  {name} {version}: {found['id']}, mended in {', '.join(found['fix_versions']) or 'no release'}"
        for name, version, found in known
    ]
    unknown = [each["name"] for each in packages if "skip_reason" in each]
    if unknown or not packages:
        said = f"{lock}: NOT CHECKED, the service knows nothing of {len(unknown)} of {len(packages)} packages"
        return EXIT_NOT_CHECKED, [said, *lines]
    if known:
        return EXIT_KNOWN, [f"{lock}: {len(known)} known vulnerabilities", *lines]
    return 0, [f"{lock}: no known vulnerability in {len(packages)} packages"]


def main() -> int:
    """Print the summary."""
    lock, path = sys.argv[1], Path(sys.argv[2])
    code, lines = summary(lock, path.read_text() if path.is_file() else "")
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
