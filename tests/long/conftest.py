"""What the scenarios have (lab, tb, the logs beside a failure) is here, too."""

import pathlib
import runpy
import sys

sys.dont_write_bytecode = True

SCENARIO = pathlib.Path(__file__).resolve().parent.parent / "scenario"
sys.path.insert(0, str(SCENARIO))
globals().update({name: thing for name, thing in runpy.run_path(str(SCENARIO / "conftest.py")).items()
                  if name in ("lab", "tb") or name.startswith("pytest_")})
