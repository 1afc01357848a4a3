"""Who read what, what they saw, and what they signed: kept, chained and never changed."""

import logging

logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of its plugins on import
