"""Real event sets with independently computed answers lie beside the checkout, on some machines.

Where they do not, these tests are not collected: the project's own tests stand without them.
"""

from __future__ import annotations

import os
from pathlib import Path

_beside = Path(__file__).parents[2].parent / "shared" / "data"
DATA = Path(os.environ.get("ACUMEN_SHARED_DATA", _beside))

collect_ignore = [] if (DATA / "answers.json").exists() else ["test_answers.py", "test_twenty_questions.py"]
