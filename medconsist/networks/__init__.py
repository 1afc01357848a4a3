"""Networks that more than one domain uses; their state dicts have the names that others know."""
