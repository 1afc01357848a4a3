"""One function over many cases: local processes, Ray or SLURM over an idempotent result folder."""
