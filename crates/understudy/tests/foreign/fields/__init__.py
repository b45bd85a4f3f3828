"""The table of header fields and framing: what may reach a backend, and what the client is told."""
