"""Image quality and intervals; every figure names its unit of analysis."""
