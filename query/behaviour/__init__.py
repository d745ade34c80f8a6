"""Questions about the order of events: what each actor did, one event after the other."""
