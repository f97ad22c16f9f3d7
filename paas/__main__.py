"""`python -m paas`."""

from __future__ import annotations

import gc
import sys

# Nothing that is imported is garbage: looking for some takes a sixth of the start.
gc.disable()

from paas.program import main  # noqa: E402 (the collector rests while it is loaded)

gc.enable()
sys.exit(main(sys.argv[1:]))
