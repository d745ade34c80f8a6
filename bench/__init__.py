"""Speed and memory, as ratios that one run on one machine can show. ``make bench`` runs it."""
