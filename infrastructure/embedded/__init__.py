"""The parts of the embedded PostgreSQL launcher; ``infrastructure.embedded_postgres`` is the way in."""
