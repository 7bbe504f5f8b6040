import sys
from pathlib import Path

# bench/ is no package of the product: its programs import `lab` from beside them, and so do we.
sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
