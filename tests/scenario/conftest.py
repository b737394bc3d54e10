"""What pytest is to know.  One test by hand, after a build: README.md."""

import sys

sys.dont_write_bytecode = True

import pytest  # noqa: E402

try:
    from harness import Ended, Lab, find_bridge  # noqa: E402
    from thingsboard import Server  # noqa: E402
except ModuleNotFoundError as error:
    raise pytest.UsageError(f"{error} in {sys.executable}: .ci/install demo test installs it for /usr/bin/python3") from error


def pytest_configure():
    try:
        find_bridge()
    except Ended as error:
        raise pytest.UsageError(str(error)) from None


def pytest_report_header():
    return f"calque: {find_bridge()}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Put the logs of all processes beside a failed test."""
    outcome = yield
    report = outcome.get_result()
    lab = item.funcargs.get("lab") if hasattr(item, "funcargs") else None
    if lab and report.failed:
        report.sections.append((f"processes ({call.when})", lab.report()))


@pytest.fixture
def lab(tmp_path):
    lab = Lab(tmp_path)
    try:
        yield lab
    finally:
        lab.close()
    lab.assert_clean()


@pytest.fixture
def tb(lab):
    """A ThingsBoard that behaves like the real one."""
    return lab.add_process(Server())
