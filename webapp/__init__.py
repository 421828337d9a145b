"""The web half: people define sweeps here, watch them live and browse what came of them."""
