"""Where the tissue of a slide lies, how it is stained, and what on it cannot be trusted."""
