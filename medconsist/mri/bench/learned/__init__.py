"""The table of networks beside classical methods, on scans of the simulator."""
