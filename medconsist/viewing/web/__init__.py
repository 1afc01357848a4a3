"""What the viewer's server gives to a browser beside the page: tiles, volumes, signals, headers."""
