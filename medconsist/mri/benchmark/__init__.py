"""The CIRIM paper's comparison, re-run in one command: networks trained alike, judged in shifts."""
