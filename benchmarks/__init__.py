"""The benchmarks of README's figures: `python -m benchmarks.<name>`; results/ has the output."""

import sys
from pathlib import Path

# What starts servers and Redis is the tests' own, so that both measure the same thing.
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
