import sys

sys.dont_write_bytecode = True

import pytest  # noqa: E402

from harness import Lab  # noqa: E402
from thingsboard import Server  # noqa: E402


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
