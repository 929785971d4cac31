"""The suites of kafka-python, rskafka and rdkafka: where they come from, and how they run against a server of ours."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from clients.builds import HERE as CLIENTS
from clients.builds import ROOT

from .exceptions import EXCEPTIONS
from .report import FAILED, PASSED, SKIPPED, SuiteResult
from .server import server

FOLDER = ROOT / "target" / "compat"
KAFKA_PYTHON = "3.0.12"
# This version forgets a subscription that is made while its first metadata request is under way, and then waits for
# five minutes: whatever the broker, a test that subscribes right after it made a consumer with an `api_version` fails
# now and then. Tests that failed run once more, and it is said which; more than these are not the client's doing.
KAFKA_PYTHON_REPEATED_MAX = 3
# What the versions that chronik advertises amount to; the suites choose their tests by it.
KAFKA_VERSION = "4.3.0"
BUILD_SECONDS = 1800
RUN_SECONDS = 900
# What kafka-python's archive lacks of its own tests: how a broker is started, which nobody needs here.
SERVICE = """
class ExternalService:
    def __init__(self, host, port):
        self.host, self.port = host, port

    def open(self):
        pass

    def close(self):
        pass


class SpawnedService:
    def __init__(self, *args, **kwargs):
        raise RuntimeError("this suite runs against a broker that is there")
"""
RUST_OUTCOMES = {"ok": PASSED, "FAILED": FAILED, "ignored": SKIPPED}


def kafka_python() -> SuiteResult:
    """kafka-python's integration tests, from its source distribution."""
    sources = unpacked_kafka_python()
    report = FOLDER / "kafka-python.xml"
    settings = {"auto_create_topics_enable": "true", "num_partitions": 4}
    settings |= {"group_min_session_timeout_ms": 1000, "group_initial_rebalance_delay_ms": 0}
    # As its own fixture starts a broker: without an authorizer there are no access control entries to try.
    settings |= {"authorizer_class_name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer"}
    with server(FOLDER / "server-kafka-python", **settings) as port:
        environment = {"KAFKA_VERSION": KAFKA_VERSION, "KAFKA_ROOT": "/", "KAFKA_URI": f"kafka://127.0.0.1:{port}"}
        command = [str(environment_of_kafka_python()), "-m", "pytest", "test/integration", "-q"]
        command += ["--ignore", "test/integration/test_ssl_integration.py", "--timeout=60", "--timeout-method=signal"]
        command += [f"--junitxml={report}"]
        run(command, sources, environment, "kafka-python.log")
        outcomes = outcomes_of_pytest(report)
        failed = {test for test, outcome in outcomes.items() if outcome == FAILED}
        if 0 < len(failed) <= KAFKA_PYTHON_REPEATED_MAX:
            print(f"compat: kafka-python: runs once more what failed: {', '.join(sorted(failed))}")
            run([*command, "--last-failed"], sources, environment, "kafka-python-repeated.log")
            outcomes |= {test: outcome for test, outcome in outcomes_of_pytest(report).items() if test in failed}
    return result("kafka-python", KAFKA_PYTHON, outcomes)


def outcomes_of_pytest(report: Path) -> dict[str, str]:
    """The outcome by test, `file::name`, of a run of pytest."""
    outcomes = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        file = case.attrib["classname"].split(".")[2]
        bad = any(case.find(kind) is not None for kind in ("failure", "error"))
        outcome = FAILED if bad else SKIPPED if case.find("skipped") is not None else PASSED
        outcomes[f"{file}.py::{case.attrib['name']}"] = outcome
    return outcomes


def unpacked_kafka_python() -> Path:
    sources = FOLDER / f"kafka_python-{KAFKA_PYTHON}"
    if not sources.is_dir():
        FOLDER.mkdir(parents=True, exist_ok=True)
        package = f"kafka-python=={KAFKA_PYTHON}"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-binary", ":all:", "--no-deps", package]
        subprocess.run(command, cwd=FOLDER, check=True)
        with tarfile.open(FOLDER / f"{sources.name}.tar.gz") as archive:
            archive.extractall(FOLDER, filter="data")
    (sources / "test" / "__init__.py").touch()
    (sources / "test" / "service.py").write_text(SERVICE)
    return sources


def environment_of_kafka_python() -> Path:
    """The Python of an environment that has what the suite imports."""
    environment, wanted = FOLDER / "venv", Path(__file__).parent / "requirements.txt"
    ready = environment / ".ready"
    if not ready.is_file() or ready.read_text() != wanted.read_text():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(environment)], check=True)
        install = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--requirement", str(wanted)]
        subprocess.run(install, check=True)
        ready.write_text(wanted.read_text())
    return environment / "bin" / "python"


def rskafka() -> SuiteResult:
    """The tests in the package rskafka."""
    sources, version = unpacked_crate("rskafka")
    # Made for one old toolchain, with a dependency that does not compile on others.
    (sources / "rust-toolchain.toml").unlink(missing_ok=True)
    subprocess.run(["cargo", "update", "--quiet", "--package", "rsasl"], cwd=sources, check=True)
    with server(FOLDER / "server-rskafka", auto_create_topics_enable="false") as port:
        environment = {"TEST_INTEGRATION": "1", "TEST_BROKER_IMPL": "kafka", "KAFKA_CONNECT": f"127.0.0.1:{port}"}
        outcomes = cargo_test(sources, ["--features", "full"], 4, environment, "rskafka.log")
    return result("rskafka", version, outcomes)


def rdkafka() -> SuiteResult:
    """The tests in the package rdkafka, which insist on port 9092."""
    sources, version = unpacked_crate("rdkafka")
    with server(FOLDER / "server-rdkafka", 9092, num_partitions=3, auto_create_topics_enable="true"):
        environment = {"KAFKA_HOST": "localhost:9092", "KAFKA_VERSION": KAFKA_VERSION}
        outcomes = cargo_test(sources, [], 2, environment, "rdkafka.log")
    # It wants records to a topic that nobody created to time out; ours would create it sooner than that.
    timeout = ["test_base_producer_timeout", "--exact"]
    with server(FOLDER / "server-rdkafka-strict", 9092, num_partitions=3, auto_create_topics_enable="false"):
        outcomes |= cargo_test(sources, [], 2, environment, "rdkafka-strict.log", timeout)
    return result("rdkafka", version, outcomes)


def unpacked_crate(name: str) -> tuple[Path, str]:
    """A copy of a package as cargo fetched it for our own program, and its version."""
    manifest = str(CLIENTS / "rust" / "Cargo.toml")
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--manifest-path", manifest]
    packages = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["packages"]
    package = next(package for package in packages if package["name"] == name)
    copy = FOLDER / f"{name}-{package['version']}"
    if not copy.is_dir():
        shutil.copytree(Path(package["manifest_path"]).parent, copy)
        with (copy / "Cargo.toml").open("a") as manifest_of_copy:
            manifest_of_copy.write("\n[workspace]\n")  # It lies in the folder of ours.
    return copy, package["version"]


def cargo_test(
    sources: Path,
    options: list[str],
    threads: int,
    environment: dict[str, str],
    log: str,
    chosen: Sequence[str] = (),
) -> dict[str, str]:
    """Runs a package's integration tests, or those chosen; the outcome by name."""
    environment = environment | {"CARGO_TARGET_DIR": str(FOLDER / "cargo"), "CARGO_INCREMENTAL": "0"}
    build = ["cargo", "test", "--quiet", "--test", "*", *options]
    subprocess.run([*build, "--no-run"], cwd=sources, env=os.environ | environment, check=True, timeout=BUILD_SECONDS)
    command = ["cargo", "test", "--test", "*", *options, "--no-fail-fast", "--", f"--test-threads={threads}", *chosen]
    output = run(command, sources, environment, log)
    found = re.findall(r"^test (\S+)(?: - should panic)? \.\.\. (ok|FAILED|ignored)", output, re.MULTILINE)
    return {name: RUST_OUTCOMES[outcome] for name, outcome in found}


def run(command: list[str], folder: Path, environment: dict[str, str], log: str) -> str:
    """Runs a suite to its end, however that is; its output, which stays in a file too."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    (FOLDER / log).write_text(done.stdout)
    return done.stdout


def result(client: str, version: str, outcomes: dict[str, str]) -> SuiteResult:
    """The outcomes beside the exceptions that hold for them."""
    excepted = {
        test: pattern for test in outcomes for pattern in EXCEPTIONS[client] if fnmatch.fnmatchcase(test, pattern)
    }
    return SuiteResult(client, version, outcomes, excepted)


SUITES = {"kafka-python": kafka_python, "rskafka": rskafka, "rdkafka": rdkafka}
