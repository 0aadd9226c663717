"""Panel, windows, splits and forecasts: data flows one way."""
