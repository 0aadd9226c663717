"""Chronos-2, Chronos-Bolt and Chronos-T5 for tsfm: three models, each with an entry point of its own."""
