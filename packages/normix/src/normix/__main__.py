"""`python -m normix` is the command `normix`."""

from normix.cli import main

raise SystemExit(main())
