"""The viewer beside the bare libraries that it draws with."""
