"""What README's figures come from: `python -m benchmarks.<name>`; results/ has what came out."""

import sys
from pathlib import Path

# What starts servers and Redis is the tests' own, so that both measure the same thing.
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
