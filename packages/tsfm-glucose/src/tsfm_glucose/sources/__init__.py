"""Readers of glucose archives, a module for each: ``DATASET`` is what it contributes."""
