"""``python -m fastmlp`` is the command ``fastmlp``."""

from fastmlp.cli.main import main

raise SystemExit(main())
