"""The actors of cohorts, computed at the moment of the question that names them."""
