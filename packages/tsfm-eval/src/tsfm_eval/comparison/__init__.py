"""Several models on the same windows: what is compared, whether it may be, and how sure the differences are."""
