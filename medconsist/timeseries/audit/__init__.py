"""Ways in which a test on signals can be easier than the world, each looked for by itself."""
