"""`python -m paas`."""

from __future__ import annotations

import sys

from paas.program import main

sys.exit(main(sys.argv[1:]))
