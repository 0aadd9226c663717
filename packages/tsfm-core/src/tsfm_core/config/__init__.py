"""Configuration: strict YAML, composed by ``!include``, layered, each value with its origin."""
