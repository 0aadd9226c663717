"""What differs between Chronos-2, Chronos-Bolt and Chronos-T5."""
