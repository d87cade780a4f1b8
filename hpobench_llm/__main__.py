"""`python -m hpobench_llm`."""

import sys

from hpobench_llm.cli import main

sys.exit(main())
