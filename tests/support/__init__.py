"""Real engines and brokers for the tests."""
