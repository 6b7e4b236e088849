"""Real clients against real servers on loopback: what they see of an answer live, recorded and replayed is the same."""
