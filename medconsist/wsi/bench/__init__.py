"""How near slides are read to what the decoder alone allows."""
