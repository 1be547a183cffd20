"""The jars of a real Apache Kafka, fetched once by Maven into the project's cache folder."""

import os
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

_PROJECT = Path(__file__).resolve().parents[2]
_POM = Path(__file__).with_name("kafka") / "pom.xml"
_FETCH_TIMEOUT_S = 600


class MissingSystemRequirement(RuntimeError):
    """Java or Maven is not on this machine; the message says what to do."""


def kafka_version() -> str:
    """The version that the pom asks for."""
    tree = ElementTree.parse(_POM)
    found = tree.findtext(".//{*}dependency/{*}version")
    if found is None:
        raise RuntimeError(f"{_POM.name} names no version")
    return found


def kafka_classpath() -> str:
    """The class path of the broker; fetches the jars (44 MB) unless they are in the cache.

    Raises MissingSystemRequirement where Java or Maven is missing, RuntimeError where Maven fails.
    """
    _require("java")
    folder = _PROJECT / ".cache" / "kafka" / kafka_version()
    if not folder.is_dir():
        _fetch(folder)
    return str(folder / "*")


def _require(program: str) -> None:
    if shutil.which(program) is None:
        raise MissingSystemRequirement(f"no {program} on the PATH: run scripts/install-system-requirements.sh")


def _fetch(folder: Path) -> None:
    """Into a neighbour first and then renamed: a fetch that was cut off never looks complete."""
    _require("mvn")
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    partial.mkdir(parents=True)
    command = ["mvn", "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies", "-DincludeScope=runtime"]
    try:
        done = subprocess.run(
            [*command, f"-DoutputDirectory={partial}"],
            check=False,
            capture_output=True,
            text=True,
            timeout=_FETCH_TIMEOUT_S,
        )
        if done.returncode != 0:
            raise RuntimeError(f"Maven could not fetch Kafka: {(done.stdout + done.stderr)[-2000:]}")
        try:
            partial.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another session was faster, and its jars are the same
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
