"""Stage programs that build datasets: corpora, trajectories, mined pairs."""
